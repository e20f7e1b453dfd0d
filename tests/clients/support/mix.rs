//! mix, and where its Hex archive is.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::client::{Client, on_path};

#[derive(Debug, Clone)]
pub(crate) struct Mix {
    program: PathBuf,
    archives: PathBuf,
}

impl Mix {
    /// mix with Hex, or why it cannot be used here.
    pub(crate) fn find() -> Result<Self, &'static str> {
        static FOUND: OnceLock<Result<Mix, &str>> = OnceLock::new();
        FOUND.get_or_init(Self::look).clone()
    }

    /// mix with Hex, for a trial that needs it.
    pub(crate) fn installed() -> Self {
        Self::find().unwrap()
    }

    fn look() -> Result<Self, &'static str> {
        let program = on_path("mix").ok_or("mix is not on PATH")?;
        let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let archives = home("MIX_ARCHIVES")
            .or_else(|| Some(home("MIX_HOME")?.join("archives")))
            .or_else(|| Some(home("HOME")?.join(".mix/archives")))
            .ok_or("mix has no folder of archives")?;
        let dir = TempDir::new().unwrap();
        let info =
            Client::new(&program, dir.path()).env("MIX_ARCHIVES", &archives).dir(dir.path()).args(["hex.info"]).run();
        if !info.status.success() {
            return Err("the Hex archive of mix is not installed");
        }
        Ok(Self { program, archives })
    }

    /// The folder of Hex's compiled modules.
    pub(crate) fn hex(&self) -> Option<PathBuf> {
        let archives = std::fs::read_dir(&self.archives).ok()?.filter_map(Result::ok);
        let mut found = archives.filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| name.starts_with("hex-"))?;
            Some(entry.path().join(name).join("ebin")).filter(|ebin| ebin.is_dir())
        });
        found.next()
    }

    /// mix in the folder `dir`, with `home` as its whole memory.
    pub(crate) fn client(&self, home: &Path, dir: &Path) -> Client {
        self.run(&self.program, home, dir)
    }

    /// A shell that finds mix as [`Self::client`] does.
    pub(crate) fn shell(&self, home: &Path, dir: &Path) -> Client {
        self.run(Path::new("/bin/sh"), home, dir)
    }

    fn run(&self, program: &Path, home: &Path, dir: &Path) -> Client {
        Client::new(program, home)
            .env("MIX_HOME", home.join("mix"))
            .env("MIX_ARCHIVES", &self.archives)
            .env("MIX_REBAR3", on_path("rebar3").unwrap_or_default())
            .env("HEX_HOME", home.join("hex"))
            .dir(dir)
    }
}
