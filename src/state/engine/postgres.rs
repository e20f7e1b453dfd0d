//! PostgreSQL. Statements see what is committed when they begin (`READ COMMITTED`, the default), and what has been answered
//! as committed is on the server's disk, unless its operator has turned `synchronous_commit` off.

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Postgres, Transaction};

use super::{ConnectError, DatabaseError};

/// Connections of one process.
const CONNECTIONS: u32 = 8;

pub(super) async fn connect(url: &str) -> Result<PgPool, ConnectError> {
    let options = url.parse::<PgConnectOptions>()?.application_name("hexkeep");
    check_tls(&options)?;
    // The pool waits for a server that is to become the primary; whoever starts is told.
    let mut first = options.connect().await?;
    if is_standby(&mut first).await? {
        return Err(ConnectError::Standby);
    }
    first.close().await?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).after_connect(refuse_standby);
    Ok(pool.connect_with(options).await?)
}

/// Whether the connection is as safe as its address says: the driver looks at certificates in the mode `verify-full` alone.
/// In `verify-ca` it would take a certificate of any public authority, since it trusts these besides the one that is named.
fn check_tls(options: &PgConnectOptions) -> Result<(), ConnectError> {
    let names_an_authority = options.to_url_lossy().query_pairs().any(|(key, _)| key == "sslrootcert");
    match options.get_ssl_mode() {
        PgSslMode::VerifyFull => Ok(()),
        PgSslMode::VerifyCa => Err(ConnectError::Tls("sslmode=verify-ca is not supported: use sslmode=verify-full")),
        _ if names_an_authority => {
            Err(ConnectError::Tls("sslrootcert is used with sslmode=verify-full alone: add that, or leave it out"))
        }
        _ => Ok(()),
    }
}

/// A standby answers reads of the past and takes no writes.
async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await
}

/// For each later connection: while a standby answers at the address, the pool tries again until it is promoted or the
/// time to wait for a connection is over.
fn refuse_standby(connection: &mut PgConnection, _: PoolConnectionMetadata) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async move {
        match is_standby(connection).await? {
            true => Err(sqlx::Error::Configuration(ConnectError::Standby.into())),
            false => Ok(()),
        }
    })
}

/// Locks the row of a topic until the transaction ends, and counts the change that it makes there. What is asked after that
/// sees everything that was committed before. So numbers are in the order of the commits and without gaps: one that is
/// taken back counts nothing. The nonce tells a number from the same one of a server that has lost the last commits.
pub(super) async fn begin(pool: &PgPool, topic: Option<&str>) -> Result<Transaction<'static, Postgres>, DatabaseError> {
    let mut transaction = pool.begin().await?;
    if let Some(topic) = topic {
        let change = "INSERT INTO topics (name, number, nonce) VALUES ($1, 1, $2) \
                      ON CONFLICT (name) DO UPDATE SET number = topics.number + 1, nonce = excluded.nonce";
        let nonce = format!("{:016x}", fastrand::u64(..));
        sqlx::query(change).bind(topic).bind(nonce).execute(&mut *transaction).await?;
    }
    Ok(transaction)
}
