//! The PostgreSQL engine. Statements see everything that was committed when they begin (`READ COMMITTED`, the default).
//! Commits are durable, unless the operator of the server has disabled `synchronous_commit`.

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Postgres, Transaction};

use super::{ConnectError, DatabaseError};

/// The largest number of connections of one process.
const CONNECTIONS: u32 = 8;

pub(super) async fn connect(url: &str) -> Result<PgPool, ConnectError> {
    let options = url.parse::<PgConnectOptions>()?.application_name("hexkeep");
    check_tls(&options)?;
    // The pool would wait until a standby is promoted; at startup it is an error instead.
    let mut first = options.connect().await?;
    if is_standby(&mut first).await? {
        return Err(ConnectError::Standby);
    }
    first.close().await?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).after_connect(refuse_standby);
    Ok(pool.connect_with(options).await?)
}

/// Checks that the connection is as secure as its address says. The driver verifies certificates only in the mode
/// `verify-full`. With `verify-ca` it would accept a certificate from any public authority, in addition to the given
/// one.
fn check_tls(options: &PgConnectOptions) -> Result<(), ConnectError> {
    let names_an_authority = options.to_url_lossy().query_pairs().any(|(key, _)| key == "sslrootcert");
    match options.get_ssl_mode() {
        PgSslMode::VerifyFull => Ok(()),
        PgSslMode::VerifyCa => Err(ConnectError::Tls("sslmode=verify-ca is not supported: use sslmode=verify-full")),
        _ if names_an_authority => {
            Err(ConnectError::Tls("sslrootcert requires sslmode=verify-full: set it, or remove sslrootcert"))
        }
        _ => Ok(()),
    }
}

/// Whether the server is a standby, which is read-only and may be behind.
async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await
}

/// Runs for each further connection: while a standby answers at the address, the pool retries until the standby is
/// promoted or the timeout for a connection is over.
fn refuse_standby(connection: &mut PgConnection, _: PoolConnectionMetadata) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async move {
        match is_standby(connection).await? {
            true => Err(sqlx::Error::Configuration(ConnectError::Standby.into())),
            false => Ok(()),
        }
    })
}

/// Locks the row of a topic until the transaction ends, and increments its number. Later statements see everything that
/// was committed before. So the numbers follow the order of the commits without gaps; a rolled back transaction does
/// not count. The nonce distinguishes a number from the same number on a server that lost its last commits.
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
