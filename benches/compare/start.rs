//! From starting the daemon to its first hit, on a store that holds many packages.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::fill;
use crate::registry::Registry;
use crate::servers::{self, Origin};

/// Packages in the store.
const PACKAGES: usize = 20_000;

/// Readers that bring them there.
const READERS: usize = 16;

/// How often the daemon is started.
const STARTS: usize = 5;

/// The median time to the first hit.
pub(crate) fn first_hit(dir: &Path, origin: &Origin, registry: &Registry) -> Duration {
    eprintln!("signing {PACKAGES} packages");
    let paths = Arc::new(registry.add_small(PACKAGES));
    let home = dir.join("start");
    let server = servers::hexkeep(&home, origin, registry);
    eprintln!("fetching them");
    let next = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (next, paths, address) = (Arc::clone(&next), Arc::clone(&paths), server.address.clone());
            std::thread::spawn(move || {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    fill::warm(&address, path);
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
    drop(server);
    let mut starts: Vec<Duration> = (0..STARTS)
        .map(|round| {
            let _ = std::fs::remove_file(home.join("store/addresses.json"));
            let began = Instant::now();
            let server = servers::hexkeep(&home, origin, registry);
            fill::warm(&server.address, &paths[PACKAGES / 2 + round]);
            let elapsed = began.elapsed();
            eprintln!("start {round} | first hit after {} ms", elapsed.as_millis());
            elapsed
        })
        .collect();
    starts.sort();
    starts[STARTS / 2]
}
