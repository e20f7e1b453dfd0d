//! `import`: publishes the tarballs and documentation archives in a folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{OperationError, Refusal};
use super::operator::Operator;
use super::outcome::{Text, count};
use crate::auth::WriteGrant;
use crate::hex::checksum::Sha256;
use crate::hex::resource::ArtifactName;
use crate::repository::LocalRepository;
use crate::repository::local::{PublishOptions, Received, WriteError};
use crate::shutdown;
use crate::state::audit::Actor;
use crate::tasks::report::{Progress, Reporter, sentence};

/// Number of bytes that are passed to an upload at a time.
const PIECE: usize = 256 * 1024;

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Number of releases that were published.
    pub published: usize,
    /// Number of releases to which documentation was added.
    pub documented: usize,
    /// Number of files that were already published.
    pub there: usize,
    /// Files that could not be published, and why.
    pub unused: Vec<UnusedFile>,
}

/// A file that could not be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedFile {
    /// Path of the file.
    pub file: PathBuf,
    /// Reason.
    pub why: String,
}

impl Imported {
    pub(super) fn text(&self) -> Text {
        let Self { published, documented, there, unused } = self;
        Text {
            remarks: unused.iter().map(|UnusedFile { file, why }| format!("{}: {why}", file.display())).collect(),
            failed: !unused.is_empty(),
            ..Text::line(format!(
                "{} published, {documented} documentation archives added, {there} files were already published, {} could not be published",
                count(*published, "release was", "releases were"),
                count(unused.len(), "file", "files")
            ))
        }
    }
}

/// Files found in a folder.
#[derive(Debug, Default)]
struct FolderContents {
    tarballs: Vec<PathBuf>,
    docs: Vec<PathBuf>,
}

/// Why a file was not published.
enum Unused {
    /// A package that it depends on is missing, but may be published later in the same import.
    Dependency(String),
    /// An error that a second attempt cannot solve.
    Bad(String),
}

/// Counts of an import in progress.
struct ImportTally<'a> {
    published: usize,
    documented: usize,
    there: usize,
    progress: Progress,
    report: &'a Reporter,
}

impl ImportTally<'_> {
    fn done(&mut self) {
        self.progress.done += 1;
        self.report.progress(self.progress);
    }
}

impl Operator {
    /// Publishes every tarball of a folder, then its documentation. Files that are already published are skipped, so
    /// that an import can be repeated.
    pub(super) async fn import(
        &self,
        key: String,
        folder: PathBuf,
        report: &Reporter,
    ) -> Result<Imported, OperationError> {
        let (local, grant) = self.local_with_grant(&key, Actor::console())?;
        let surveyed = shutdown::blocking(move || survey(&folder, &key));
        let found = surveyed.await??;
        let total = (found.tarballs.len() + found.docs.len()) as u64;
        let progress = Progress { total, ..Progress::default() };
        report.progress(progress);
        let mut tally = ImportTally { published: 0, documented: 0, there: 0, progress, report };
        let mut unused = publish_all(&local, &grant, found.tarballs, &mut tally).await;
        for file in found.docs {
            match document(&local, &grant, &file).await {
                Ok(true) => tally.documented += 1,
                Ok(false) => tally.there += 1,
                Err(Unused::Dependency(why) | Unused::Bad(why)) => unused.push(UnusedFile { file, why }),
            }
            tally.done();
        }
        let ImportTally { published, documented, there, .. } = tally;
        Ok(Imported { published, documented, there, unused })
    }
}

/// Publishes tarballs, and retries those whose dependencies were published in the meantime. Returns those that failed.
async fn publish_all(
    local: &LocalRepository,
    grant: &WriteGrant,
    mut files: Vec<PathBuf>,
    tally: &mut ImportTally<'_>,
) -> Vec<UnusedFile> {
    let mut unused = Vec::new();
    loop {
        let (mut waiting, before) = (Vec::new(), tally.published);
        for file in files {
            match publish(local, grant, &file).await {
                Ok(true) => tally.published += 1,
                Ok(false) => tally.there += 1,
                Err(Unused::Bad(why)) => unused.push(UnusedFile { file, why }),
                Err(Unused::Dependency(why)) => {
                    waiting.push((file, why));
                    continue;
                }
            }
            tally.done();
        }
        if waiting.is_empty() || tally.published == before {
            for (file, why) in waiting {
                unused.push(UnusedFile { file, why });
                tally.done();
            }
            return unused;
        }
        files = waiting.into_iter().map(|(file, _)| file).collect();
    }
}

/// Publishes one file. Returns false if it was already published.
async fn publish(local: &LocalRepository, grant: &WriteGrant, file: &Path) -> Result<bool, Unused> {
    let (outer, received) = receive(local, file).await?;
    if local.has_tarball(&outer).await.map_err(|error| bad(&error))? {
        return Ok(false);
    }
    match local.publish(grant, received, PublishOptions { replace: Some(false), ..PublishOptions::default() }).await {
        Ok(_) => Ok(true),
        Err(WriteError::Invalid(invalid)) => {
            let waits = invalid.iter().all(|(path, _)| path.first().is_some_and(|first| &**first == "requirements"));
            let why = invalid.to_string();
            Err(if waits { Unused::Dependency(why) } else { Unused::Bad(why) })
        }
        Err(error) => Err(bad(&error)),
    }
}

/// Adds documentation to a release that has none. Returns false if it already had documentation.
async fn document(local: &LocalRepository, grant: &WriteGrant, file: &Path) -> Result<bool, Unused> {
    let name =
        artifact(file).ok_or_else(|| Unused::Bad("its name does not have the form NAME-VERSION.tar.gz".to_owned()))?;
    let listed = local.listed_release(&name).await.map_err(|error| bad(&error))?;
    let listed = listed.ok_or_else(|| Unused::Bad("the release of this documentation is not published".to_owned()))?;
    if listed.docs.is_some() {
        return Ok(false);
    }
    let (_, received) = receive(local, file).await?;
    match local.put_docs(grant, &name.package, &name.version, received).await {
        Ok(()) => Ok(true),
        Err(WriteError::Invalid(invalid)) => Err(Unused::Bad(invalid.to_string())),
        Err(error) => Err(bad(&error)),
    }
}

async fn receive(local: &LocalRepository, file: &Path) -> Result<(Sha256, Received), Unused> {
    let path = file.to_path_buf();
    let read = shutdown::blocking(move || std::fs::read(path)).await;
    let bytes = read.map_err(|error| bad(&error))?.map_err(|error| bad(&error))?;
    let mut upload = local.begin_upload().await.map_err(|error| bad(&error))?;
    for piece in bytes.chunks(PIECE) {
        upload.append(piece).await.map_err(|error| bad(&error))?;
    }
    Ok((Sha256::of(&bytes), upload.finish().await.map_err(|error| bad(&error))?))
}

fn bad(error: &dyn std::error::Error) -> Unused {
    Unused::Bad(sentence(error))
}

/// The release that a documentation archive belongs to, read from its file name.
fn artifact(file: &Path) -> Option<ArtifactName> {
    ArtifactName::parse_docs(file.file_name()?.to_str()?).ok()
}

/// Finds the packages in `folder`. It may contain tarballs; or be a registry of `mix hex.registry build` or a
/// repository of mini_repo, with the folders `tarballs` and `docs`; or be the data folder of mini_repo, with the folder
/// `repos/KEY`.
fn survey(folder: &Path, key: &str) -> Result<FolderContents, OperationError> {
    if !folder.is_dir() {
        return Err(Refusal::NoFolder(folder.to_path_buf()).into());
    }
    let mut root = folder.to_path_buf();
    for repositories in [folder.join("repos"), folder.join("data/repos")] {
        if !folder.join("tarballs").is_dir() && repositories.is_dir() {
            root = repositories.join(key);
            if !root.is_dir() {
                return Err(no_such_repository(repositories, key)?.into());
            }
            break;
        }
    }
    let inner = root.join("tarballs");
    let mut found = FolderContents::default();
    let tarballs = if inner.is_dir() { inner } else { root.clone() };
    collect(&tarballs, "tar", 0, &mut found.tarballs).map_err(OperationError::Folder)?;
    let docs = root.join("docs");
    if docs.is_dir() {
        // Files directly in `docs`, or as in mini_repo: docs/NAME/VERSION/NAME-VERSION.tar.gz.
        collect(&docs, "gz", 2, &mut found.docs).map_err(OperationError::Folder)?;
    }
    if found.tarballs.is_empty() && found.docs.is_empty() {
        return Err(Refusal::NoTarballs(tarballs).into());
    }
    Ok(found)
}

fn no_such_repository(folder: PathBuf, key: &str) -> Result<Refusal, OperationError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(OperationError::Folder)? {
        names.push(entry.map_err(OperationError::Folder)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(Refusal::NotInFolder { folder, key: key.to_owned(), names })
}

/// Adds the files in `folder` with this extension to `files`, in order of their names, down to `depth` levels of
/// folders.
fn collect(folder: &Path, ending: &str, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_file() && path.extension().is_some_and(|extension| extension == ending) {
            files.push(path);
        } else if depth > 0 && path.is_dir() {
            collect(&path, ending, depth - 1, files)?;
        }
    }
    Ok(())
}
