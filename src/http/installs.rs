//! Answers to `installs/…` and `builds/…`.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Method, Response};

use super::body::ResponseBody;
use super::error::Refusal;
use super::observe::{Story, story_of};
use super::question::refuse;
use super::respond::{self, Facts, Wishes, quoted};
use crate::hex::checksum::Sha256;
use crate::hex::if_none_match;
use crate::hex::installs::{InstallsPath, List, Tool};
use crate::repository::{Artifact, CacheStatus, Context, Installs, Keep};

/// Hex asks once a day for a newer version of itself, and prints whatever is no list: where there is none to be had, an
/// empty one says that there is no newer version.
pub(super) async fn answer(
    installs: &Installs,
    path: &InstallsPath,
    wishes: Wishes<'_>,
    client: IpAddr,
    context: Context,
    story: &mut Story,
) -> Result<Response<ResponseBody>, Refusal> {
    match try_answer(installs, path, wishes, client, context, story).await {
        Err(refusal) if *path == InstallsPath::List(List::ForElixir(Tool::Hex)) => {
            tracing::debug!(refusal = %refusal.text, "an empty list of Hex versions is served");
            let etag = Some(quoted(&Sha256::of(b"")));
            let facts = Facts { etag, keep: Keep::Revalidate, status: CacheStatus::Miss };
            Ok(respond::text(wishes, &facts, Bytes::new()))
        }
        outcome => outcome,
    }
}

async fn try_answer(
    installs: &Installs,
    path: &InstallsPath,
    wishes: Wishes<'_>,
    client: IpAddr,
    context: Context,
    story: &mut Story,
) -> Result<Response<ResponseBody>, Refusal> {
    if let InstallsPath::File(file) = path
        && (if_none_match::tags(wishes.headers).next().is_some() || wishes.method == Method::HEAD)
    {
        let served = installs.file_head(file, client, context).await.map_err(refuse)?;
        story_of(story, &served);
        let head = served.value;
        let facts = Facts { etag: head.digest.as_ref().map(quoted), keep: head.keep, status: served.status };
        if facts.not_modified(wishes) {
            return Ok(respond::unchanged(&facts));
        }
        if wishes.method == Method::HEAD {
            return Ok(respond::head(&facts, head.length));
        }
    }
    let served = installs.get(path, client, context).await.map_err(refuse)?;
    story_of(story, &served);
    let (proven, keep) = served.value;
    let facts = Facts { etag: Some(quoted(&proven.digest)), keep, status: served.status };
    Ok(match (path, proven.artifact) {
        (InstallsPath::List(_) | InstallsPath::Signature(_), Artifact::Memory(bytes)) => {
            respond::text(wishes, &facts, bytes)
        }
        (_, artifact) => respond::artifact(wishes, &facts, artifact, None),
    })
}
