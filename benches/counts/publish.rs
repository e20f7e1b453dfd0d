//! Publishing to a local repository: from a request to its answer, with the disk, the database and the signed indexes.

use bytes::Bytes;
use http::Method;

use super::region::count_async;
use super::server::{Server, request};
use super::tarballs;

/// Publishes that are counted, and those before them.
const TURNS: u32 = 60;
const WARM: u32 = 20;

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      storage: { path: data }\n\
                      signing: { keys: [{ id: k1, file: key.pem }] }\n\
                      default_repository: acme\n\
                      repositories: { acme: { type: local, dependency_check: off } }\n";
        let server = Server::start(config).await;
        let key = server.key().await;
        let publish = async |request| {
            let (status, _, body) = server.answer(request).await;
            assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        };
        let order =
            |name: String| request(Method::POST, "/api/publish", &[("authorization", &key)], package(&name, "1.0.0"));
        for number in 0..WARM {
            publish(order(format!("warm_{number:03}"))).await;
        }
        let requests = (0..TURNS).map(|number| order(format!("counted_{number:03}"))).collect();
        count_async("release", requests, publish).await;
    });
}

/// 28 KiB that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64) -> Vec<u8> {
    let mut noise = vec![0; 28 * 1024];
    fastrand::Rng::with_seed(seed).fill(&mut noise);
    noise
}

/// A tarball of about 30 KiB.
pub(crate) fn package(name: &str, version: &str) -> Bytes {
    let metadata = format!(
        "{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"app\">>,<<\"{name}\">>}}.\n\
         {{<<\"description\">>,<<\"Does things\">>}}.\n{{<<\"files\">>,[<<\"mix.exs\">>]}}.\n"
    );
    tarballs::pack(metadata.as_bytes(), &tarballs::gzip(&tarballs::archive(&[("mix.exs", &noise(1))]))).0
}
