//! Answers requests for `installs/…` and `builds/…`, the installers of Hex, Rebar and OTP.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Method, Response};

use super::body::ResponseBody;
use super::error::Refusal;
use super::observe::{RequestSummary, story_of};
use super::repository_request::refuse;
use super::respond::{self, EntityFacts, ResponsePreferences, quoted};
use crate::hex::checksum::Sha256;
use crate::hex::if_none_match;
use crate::hex::installs::{InstallsPath, List, Tool};
use crate::repository::{Artifact, CacheLifetime, CacheStatus, Installs, RequestContext};

/// Hex requests the list of its versions once a day, and prints any answer that is not a list. So if no list is
/// available, the answer is an empty list, which means that there is no newer version.
pub(super) async fn answer(
    installs: &Installs,
    path: &InstallsPath,
    wishes: ResponsePreferences<'_>,
    client: IpAddr,
    context: RequestContext,
    story: &mut RequestSummary,
) -> Result<Response<ResponseBody>, Refusal> {
    match try_answer(installs, path, wishes, client, context, story).await {
        Err(refusal) if *path == InstallsPath::List(List::ForElixir(Tool::Hex)) => {
            tracing::debug!(refusal = %refusal.text, "no list of Hex versions is available: answered with an empty list");
            let etag = Some(quoted(&Sha256::of(b"")));
            let facts = EntityFacts { etag, keep: CacheLifetime::Revalidate, status: CacheStatus::Miss };
            Ok(respond::text(wishes, &facts, Bytes::new()))
        }
        outcome => outcome,
    }
}

async fn try_answer(
    installs: &Installs,
    path: &InstallsPath,
    wishes: ResponsePreferences<'_>,
    client: IpAddr,
    context: RequestContext,
    story: &mut RequestSummary,
) -> Result<Response<ResponseBody>, Refusal> {
    if let InstallsPath::File(file) = path
        && (if_none_match::tags(wishes.headers).next().is_some() || wishes.method == Method::HEAD)
    {
        let served = installs.file_head(file, client, context).await.map_err(refuse)?;
        story_of(story, &served);
        let head = served.value;
        let facts = EntityFacts { etag: head.digest.as_ref().map(quoted), keep: head.keep, status: served.status };
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
    let facts = EntityFacts { etag: Some(quoted(&proven.digest)), keep, status: served.status };
    Ok(match (path, proven.artifact) {
        (InstallsPath::List(_) | InstallsPath::Signature(_), Artifact::Memory(bytes)) => {
            respond::text(wishes, &facts, bytes)
        }
        (_, artifact) => respond::artifact(wishes, &facts, artifact, None),
    })
}
