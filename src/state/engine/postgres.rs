//! PostgreSQL. Statements see what is committed when they begin (`READ COMMITTED`, the default), and what has been answered
//! as committed is on the server's disk, unless its operator has turned `synchronous_commit` off.

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};

use super::DatabaseError;

/// Connections of one process.
const CONNECTIONS: u32 = 8;

pub(super) async fn connect(url: &str) -> Result<PgPool, Box<dyn std::error::Error + Send + Sync>> {
    let options = url.parse::<PgConnectOptions>()?.application_name("hexkeep");
    Ok(PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?)
}

/// Whoever has locked the row of a topic is the only one who has until the transaction ends. What is asked after that sees
/// everything that was committed before.
pub(super) async fn begin(pool: &PgPool, topic: Option<&str>) -> Result<Transaction<'static, Postgres>, DatabaseError> {
    let mut transaction = pool.begin().await?;
    if let Some(topic) = topic {
        while sqlx::query("SELECT 1 FROM topics WHERE name = $1 FOR UPDATE")
            .bind(topic)
            .fetch_optional(&mut *transaction)
            .await?
            .is_none()
        {
            let add = "INSERT INTO topics (name) VALUES ($1) ON CONFLICT DO NOTHING";
            sqlx::query(add).bind(topic).execute(&mut *transaction).await?;
        }
    }
    Ok(transaction)
}
