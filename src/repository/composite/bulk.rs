//! `names` and `versions` of a view, kept by package: a change of one package makes one entry anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::claims::Claims;
use super::listing::{self, Kind, Listing};
use super::rules::{Choice, OnFailure, Share};
use super::served::Story;
use super::view::View;
use super::{Stamp, VirtualRepository};
use crate::cache::CacheError;
use crate::hex::splice;
use crate::hex::wire::WireError;
use crate::policy::merge::{self, Bulk};
use crate::repository::{Context, Keep, RepoError, Served};
use crate::trust::SignedResource;

/// What a view's `names` or `versions` are made of.
#[derive(Clone, Debug)]
struct Sources {
    /// Of the members that the caller may read; `None`: it may not, or the member was left out.
    listings: Vec<Option<Arc<Listing>>>,
    /// The same without what policies hold back.
    shown: Vec<Option<Arc<Listing>>>,
    claims: Arc<Claims>,
}

impl Sources {
    fn stamp(&self) -> Stamp {
        let none = Listing::empty().digest;
        let of = |listing: &Option<Arc<Listing>>| listing.as_ref().map_or(none, |listing| listing.digest);
        let mut stamp: Stamp = self.listings.iter().chain(&self.shown).map(of).collect();
        self.claims.digests(&mut stamp);
        stamp
    }

    fn all(&self) -> BTreeSet<Box<str>> {
        self.listings.iter().flatten().flat_map(|listing| listing.names()).map(Into::into).collect()
    }

    /// The packages that may be another thing than in `before`.
    fn changed(&self, before: &Self) -> BTreeSet<Box<str>> {
        let mut names = BTreeSet::new();
        let nothing = Arc::new(Listing::empty());
        let all = |sources: &Self| sources.listings.iter().chain(&sources.shown).cloned().collect::<Vec<_>>();
        for (before, now) in all(before).iter().zip(&all(self)) {
            let (before, now) = (before.as_ref().unwrap_or(&nothing), now.as_ref().unwrap_or(&nothing));
            listing::changed(before, now, &mut names);
        }
        Claims::changed(&before.claims, &self.claims, &mut names);
        names
    }
}

/// `names` or `versions` of a view.
#[derive(Debug)]
pub(super) struct MergedBulk {
    stamp: Stamp,
    sources: Sources,
    entries: BTreeMap<Box<str>, Bytes>,
    /// What is sent.
    pub(super) signed: SignedResource,
}

impl VirtualRepository {
    /// `names` or `versions` of a view.
    pub(super) async fn index(
        self: &Arc<Self>,
        view: &View,
        kind: Kind,
        context: Context,
    ) -> Result<Served<(SignedResource, Keep)>, RepoError> {
        let claims = self.claims(context).await?;
        let patience = Context { deadline: self.patience(self.members().len(), context), ..context };
        let listings = join_all(self.members().iter().enumerate().map(async |(at, member)| {
            if !view.sees(at) {
                return None;
            }
            let context = if member.private { context } else { patience };
            Some(self.both_listings(view, at, member, kind, context).await)
        }));
        let mut story = Story::new();
        let mut sources = Sources { listings: Vec::new(), shown: Vec::new(), claims };
        for (at, listing) in listings.await.into_iter().enumerate() {
            let is_private = self.members().get(at).is_none_or(|member| member.private);
            let (whole, shown) = match listing {
                None => (None, None),
                Some(Ok(served)) => {
                    story.add(&served, served.value.2);
                    (Some(served.value.0), Some(served.value.1))
                }
                Some(Err(error)) => {
                    // Whatever has packages has a list of them: that there is none is a failure, too.
                    let error = match (error, self.members().get(at)) {
                        (RepoError::NotFound, Some(member)) => self.no_names(member),
                        (error, _) => error,
                    };
                    if is_private || self.options.rules.on_failure == OnFailure::Fail {
                        return Err(error);
                    }
                    self.say_skipped(at, &error);
                    story.skipped();
                    (None, None)
                }
            };
            sources.listings.push(whole);
            sources.shown.push(shown);
        }
        let made = self.indexed(view, kind, sources, context).await?;
        Ok(story.tell(made.signed.clone()))
    }

    /// Merges and signs, or takes what was made of the same before.
    async fn indexed(
        self: &Arc<Self>,
        view: &View,
        kind: Kind,
        sources: Sources,
        context: Context,
    ) -> Result<Arc<MergedBulk>, RepoError> {
        let stamp = sources.stamp();
        let key = (Arc::clone(&view.scope), kind);
        let before = self.indexes.get(&key);
        if let Some(held) = before.as_ref().filter(|held| held.stamp == stamp) {
            return Ok(Arc::clone(held));
        }
        let making = (Arc::clone(&view.scope), kind.resource(), stamp.clone());
        let ticket = self.indexing.join(making, || {
            let (repository, view) = (Arc::clone(self), view.clone());
            async move {
                let shared = repository.shared.clone();
                let made = shared.blocking(move |_| {
                    let made = Arc::new(repository.make(&view, kind, sources, before.as_deref(), stamp)?);
                    repository.indexes.insert(key, Arc::clone(&made));
                    repository.recent.insert(Arc::clone(&view.scope), view);
                    Ok(made)
                });
                made.await?
            }
        });
        Ok(ticket.wait(context.deadline).await.map_err(CacheError::from)??)
    }

    fn make(
        &self,
        view: &View,
        kind: Kind,
        sources: Sources,
        before: Option<&MergedBulk>,
        stamp: Stamp,
    ) -> Result<MergedBulk, CacheError> {
        let (names, mut entries) = match before {
            Some(before) => (sources.changed(&before.sources), before.entries.clone()),
            None => (sources.all(), BTreeMap::new()),
        };
        for name in names {
            match self.entry(view, kind, &sources, &name).map_err(CacheError::untrusted)? {
                Some(entry) => entries.insert(name, entry),
                None => entries.remove(&name),
            };
        }
        let unknown: Vec<Bulk<'_>> = sources
            .listings
            .iter()
            .flatten()
            .map(|listing| Bulk::split(listing.unknown()))
            .collect::<Result<_, _>>()
            .map_err(CacheError::untrusted)?;
        let unknown = merge::unknown_records(&unknown);
        let payload = merge::index(&self.options.identity.name, entries.values().map(AsRef::as_ref), &unknown);
        let signed = self.seal(view, &kind.resource(), &payload)?;
        Ok(MergedBulk { stamp, sources, entries, signed })
    }

    /// A package's entry, `None` where the view does not show it.
    fn entry(&self, view: &View, kind: Kind, sources: &Sources, name: &str) -> Result<Option<Bytes>, WireError> {
        if !self.options.identity.names.allows(name) {
            return Ok(None);
        }
        let part = |at: usize| {
            let allowed = self.members().get(at).is_some_and(|member| member.names.allows(name));
            let listing = sources.listings.get(at).and_then(Option::as_ref).filter(|_| allowed)?;
            listing.entry(name).filter(|_| view.reads(at, name))
        };
        let claimants: Vec<bool> = self
            .members()
            .iter()
            .enumerate()
            .map(|(at, member)| sources.claims.by(at, name) || member.private && part(at).is_some())
            .collect();
        let mut choice = Choice::new(self.options.rules.merge);
        for at in self.options.rules.order(name, &claimants) {
            let claims = claimants.get(at) == Some(&true);
            let share = match part(at) {
                Some(_) => Share::Has,
                None if claims && !view.reads(at, name) => Share::Withheld,
                None => Share::Absent,
            };
            if choice.hear(at, claims, share).is_break() {
                break;
            }
        }
        let owners = choice.owners().unwrap_or_default();
        let shown = |at: usize| sources.shown.get(at).and_then(Option::as_ref).and_then(|listing| listing.entry(name));
        let parts: Vec<(&Bytes, Option<&Bytes>)> =
            owners.into_iter().filter_map(|at| Some((part(at)?, shown(at)))).collect();
        let slices: Vec<&[u8]> = parts.iter().map(|(whole, _)| whole.as_ref()).collect();
        match (kind, parts.as_slice()) {
            (_, [(_, only)]) => Ok((*only).cloned()),
            (_, parts) if parts.iter().all(|(_, shown)| shown.is_none()) => Ok(None),
            (Kind::Names, _) => merge::names_entry(&slices).map(|entry| Some(Bytes::copy_from_slice(&entry))),
            (Kind::Versions, parts) => versions_shown(&merge::versions_entry(&slices)?, parts),
        }
    }
}

/// The entry of several members without the versions that a policy holds back in one: another's are not shown for them.
fn versions_shown(merged: &[u8], parts: &[(&Bytes, Option<&Bytes>)]) -> Result<Option<Bytes>, WireError> {
    let mut hidden: BTreeSet<&str> = BTreeSet::new();
    for (whole, shown) in parts.iter().filter(|(whole, shown)| *shown != Some(*whole)) {
        let left = shown.map(|shown| splice::versions_of(shown)).transpose()?.unwrap_or_default();
        hidden.extend(splice::versions_of(whole)?.difference(&left));
    }
    let entry = splice::drop_versions_of(merged, &|version| hidden.contains(version))?;
    Ok(entry.map(|entry| Bytes::copy_from_slice(&entry)))
}
