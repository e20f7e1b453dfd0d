//! `mix local.hex` and `mix local.rebar` install through the daemon what an upstream signed that is not there any more.
//!
//! The lists are signed with a key that is made for tests; Mix learns it by `mix local.public_keys`, as it would learn a
//! new key of hex.pm.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hexkeep::trust::PrivateKey;
use tempfile::TempDir;

use crate::support::{Client, Daemon, StaticUpstream, program};

const KEY: &str = include_str!("../../src/trust/testdata/test-only-key.pem");

pub(crate) fn mix_installs_hex_and_rebar3_with_the_upstream_and_without_it() {
    let (mix, rebar3) = (program("mix"), program("rebar3"));
    let folder = TempDir::with_prefix("hexkeep-installs-").unwrap();
    let archive = archive(&mix, folder.path());
    let escript = std::fs::read(rebar3).unwrap();
    publish(folder.path(), "hex", "9.9.9", ".ez", &archive);
    publish(folder.path(), "rebar3", "3.99.0", "", &escript);

    let mut upstream = StaticUpstream::serve(folder.path());
    let mut daemon = Daemon::start(&config(&upstream.url()));
    install(&mix, &daemon.url(), &escript);
    upstream.switch_off();
    install(&mix, &daemon.url(), &escript);
    daemon.restart();
    install(&mix, &daemon.url(), &escript);

    // Mix does verify: without the key nothing is installed.
    let url = daemon.url();
    let home = Home::new(&mix, &url);
    for task in ["local.hex", "local.rebar"] {
        let refused = home.mix(&[task, "--force"]).run();
        assert!(!refused.status.success(), "{task} installed what nobody vouches for:\n{}", refused.text);
        assert!(refused.text.contains("could not verify authenticity"), "{}", refused.text);
    }
}

/// A home that knows nothing gets both, and runs them.
fn install(mix: &Path, url: &str, escript: &[u8]) {
    let home = Home::new(mix, url);
    let key = home.dir.path().join("key.pem");
    std::fs::write(&key, PrivateKey::from_pem(KEY).unwrap().public().to_spki_pem()).unwrap();
    home.mix(&["local.public_keys", key.to_str().unwrap(), "--force"]).succeed();
    let said = home.mix(&["local.hex", "--force"]).succeed();
    assert!(said.contains("archives/hex-9.9.9"), "{said}");
    let said = home.mix(&["hex.speak"]).succeed();
    assert!(said.contains("hex 9.9.9 is installed"), "{said}");
    let said = home.mix(&["local.rebar", "--force"]).succeed();
    let installed = said.lines().find_map(|line| line.split("* creating ").nth(1)).unwrap_or_else(|| panic!("{said}"));
    let installed = home.dir.path().join(installed.trim_end_matches("\u{1b}[0m").trim());
    assert!(std::fs::read(&installed).unwrap() == escript, "{} is not what upstream has", installed.display());
}

/// A home of its own for mix, with this mirror.
struct Home<'a> {
    mix: &'a Path,
    url: &'a str,
    dir: TempDir,
}

impl<'a> Home<'a> {
    fn new(mix: &'a Path, url: &'a str) -> Self {
        Self { mix, url, dir: TempDir::with_prefix("hexkeep-home-").unwrap() }
    }

    fn mix(&self, args: &[&str]) -> Client {
        let home = self.dir.path();
        Client::new(self.mix, home)
            .env("MIX_HOME", home.join("mix"))
            .env("HEX_MIRROR", self.url)
            .env("HEX_BUILDS_URL", self.url)
            .dir(home)
            .args(args)
    }
}

/// An archive that stands for Hex, as mix builds one: with a task that says that it is there.
fn archive(mix: &Path, folder: &Path) -> Vec<u8> {
    let project = TempDir::with_prefix("hexkeep-archive-").unwrap();
    std::fs::create_dir(project.path().join("lib")).unwrap();
    std::fs::write(
        project.path().join("mix.exs"),
        "defmodule Hex.MixProject do\n  use Mix.Project\n  def project, do: [app: :hex, version: \"9.9.9\"]\nend\n",
    )
    .unwrap();
    std::fs::write(
        project.path().join("lib/speak.ex"),
        "defmodule Mix.Tasks.Hex.Speak do\n  use Mix.Task\n  @shortdoc \"Says that it is there\"\n  \
         def run(_), do: Mix.shell().info(\"hex 9.9.9 is installed\")\nend\n",
    )
    .unwrap();
    let file = folder.join("hex-9.9.9.ez");
    Client::new(mix, project.path())
        .env("MIX_HOME", project.path().join("home"))
        .dir(project.path())
        .args(["archive.build", "-o", file.to_str().unwrap()])
        .succeed();
    std::fs::read(file).unwrap()
}

/// Puts a tool, its list and the list's signature where Mix asks for them, for Elixir 1.0 and 1.14.
fn publish(folder: &Path, tool: &str, version: &str, ending: &str, file: &[u8]) {
    let digest = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, file));
    let old = "0".repeat(128);
    let list = format!("0.0.1,{old},1.0.0\n{version},{digest},1.14.0\n");
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let installs = folder.join("installs");
    write(installs.join(format!("1.14.0/{tool}-{version}{ending}")), file);
    write(installs.join(format!("{tool}-1.x.csv")), list.as_bytes());
    write(installs.join(format!("{tool}-1.x.csv.signed")), sign(list.as_bytes()).as_bytes());
}

fn sign(list: &[u8]) -> String {
    let body: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), list, &mut signature).unwrap();
    let text = STANDARD.encode(signature);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n") + "\n"
}

/// Fresh for a second only: what is served later was confirmed, or is stale because the upstream is gone.
fn config(url: &str) -> String {
    format!(
        "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }}\n\
         storage: {{ path: ./store }}\n\
         installs: {{ url: {url}, ttl: 1s }}\n\
         repositories:\n  hexpm: {{ type: local }}\n"
    )
}
