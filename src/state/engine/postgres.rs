//! PostgreSQL. Statements see what is committed when they begin (`READ COMMITTED`, the default), and what has been answered
//! as committed is on the server's disk, unless its operator has turned `synchronous_commit` off.

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

/// Connections of one process.
const CONNECTIONS: u32 = 8;

pub(super) async fn connect(url: &str) -> Result<PgPool, Box<dyn std::error::Error + Send + Sync>> {
    let options = url.parse::<PgConnectOptions>()?.application_name("hexkeep");
    Ok(PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?)
}
