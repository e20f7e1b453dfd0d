//! Tests of connections to PostgreSQL servers: a standby is refused, and TLS certificates are verified.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::packages::{at, publish};
use crate::shutdown::Tasks;
use crate::state::{State, StateError, engine};

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/ca.pem");
const STRANGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/stranger.pem");

/// An address of `localhost` that leads to one server after another.
struct Door {
    port: u16,
    leads_to: watch::Sender<SocketAddr>,
    /// The number of connections that have ended.
    ended: watch::Receiver<u32>,
}

impl Door {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (leads_to, target) = watch::channel(server);
        let (count, ended) = watch::channel(0);
        let (count, tasks) = (Arc::new(count), Tasks::new());
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut target, count) = (target.clone(), Arc::clone(&count));
                connections.spawn(async move {
                    let address = *target.borrow_and_update();
                    let mut server = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = target.changed() => {}
                    }
                    count.send_modify(|count| *count += 1);
                });
            }
        });
        Self { port, leads_to, ended }
    }

    /// Ends all connections; new ones lead to another server.
    fn turn_to(&self, server: SocketAddr) {
        self.leads_to.send(server).unwrap();
    }

    async fn wait_for_ends(&mut self, more: u32) {
        let before = *self.ended.borrow();
        self.ended.wait_for(|ended| *ended >= before + more).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: --include-ignored runs it"]
async fn a_standby_is_refused_until_it_is_promoted() {
    // Its own server: a promotion ends the standbys that follow it.
    let primary = Cluster::primary();
    let address = primary.new_database();
    let written = State::connect(&address.by_socket()).await.unwrap();
    publish(&written, ("acme", "core", Some("1.0.0")), "one", 1).await;
    let standby = primary.standby();
    let copy = standby.database(address.name.clone());

    let refused = State::connect(&copy.by_socket()).await.unwrap_err();
    assert!(matches!(refused, StateError::Standby), "{refused:?}");
    assert!(refused.to_string().starts_with("this PostgreSQL server is a standby"), "{refused}");

    // A standby that becomes reachable in place of the primary: nothing is read from it before it is promoted.
    let mut door = Door::to(primary.listens).await;
    let state = State::connect(&address.by_tcp("localhost", door.port, "sslmode=disable")).await.unwrap();
    door.turn_to(standby.listens);
    let read = state.listed_package("acme", "core");
    tokio::pin!(read);
    // One connection to the primary, and two to the standby.
    tokio::select! {
        biased;
        answer = &mut read => panic!("a standby answered: {answer:?}"),
        () = door.wait_for_ends(3) => {}
    }
    standby.promote();
    assert_eq!(read.await.unwrap().map(|package| package.releases.len()), Some(1));
    State::connect(&copy.by_socket()).await.unwrap().claim("acme", ["more"], at(2)).await.unwrap();
}

/// All errors of a chain.
fn whole(error: &StateError) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: --include-ignored runs it"]
async fn a_connection_is_as_safe_as_its_address_says() {
    let cluster = Cluster::of_all();
    let address = cluster.new_database();
    let door = Door::to(cluster.listens).await;
    let root = |file: &str| format!("sslmode=verify-full&sslrootcert={file}");
    for (mode, is_encrypted) in [
        ("", true),
        ("sslmode=prefer", true),
        ("sslmode=require", true),
        ("sslmode=disable", false),
        (root(AUTHORITY).as_str(), true),
    ] {
        let state = State::connect(&address.by_tcp("localhost", door.port, mode)).await.unwrap();
        let asked = engine::sql_as::<(bool,)>("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        assert_eq!(asked.fetch_one(&state.pool).await.unwrap(), (is_encrypted,), "{mode}");
        state.close().await;
    }
    let ip = cluster.listens.ip().to_string();
    for (host, mode, said) in [
        ("localhost", root(STRANGER), "certificate"),
        ("localhost", "sslmode=verify-full".to_owned(), "certificate"),
        // The certificate is not valid for this address.
        (ip.as_str(), root(AUTHORITY), "certificate"),
        ("localhost", root(AUTHORITY).replace("full", "ca"), "use sslmode=verify-full"),
        ("localhost", root(AUTHORITY).replace("verify-full", "require"), "sslmode=verify-full"),
    ] {
        let port = if host == ip { cluster.listens.port() } else { door.port };
        let refused = State::connect(&address.by_tcp(host, port, &mode)).await.unwrap_err();
        assert!(matches!(refused, StateError::Connect { .. }), "{mode}: {refused:?}");
        assert!(whole(&refused).contains(said), "{mode}: {}", whole(&refused));
    }
}
