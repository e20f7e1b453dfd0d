//! `names` and `versions` of a view, stored by package: if one package changes, only its entry is rebuilt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::claims::Claims;
use super::listing::{self, Kind, Listing};
use super::member_order::{MemberChoice, MemberShare, OnFailure};
use super::member_statuses::MemberStatuses;
use super::view::View;
use super::{Merge, Stamp, VirtualRepository};
use crate::cache::CacheError;
use crate::cache::payload::Payload;
use crate::hex::splice;
use crate::hex::wire::WireError;
use crate::policy::merge::{self, Bulk, PrivateVersions};
use crate::repository::{CacheLifetime, RepoError, RequestContext, Served};

/// The sources of a view's `names` or `versions`.
#[derive(Clone, Debug)]
struct Sources {
    /// The lists of the members that count for the caller; `None` for a member that does not count or was skipped.
    listings: Vec<Option<Arc<Listing>>>,
    /// The same lists without the releases held by policy.
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

    /// The packages that may have changed since `before`.
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
    /// The merged list.
    pub(super) payload: Payload,
}

impl VirtualRepository {
    /// `names` or `versions` of a view.
    pub(super) async fn index(
        self: &Arc<Self>,
        view: &View,
        kind: Kind,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        let claims = self.claims(context).await?;
        let patience = RequestContext { deadline: self.patience(self.members().len(), context), ..context };
        let listings = join_all(self.members().iter().enumerate().map(async |(at, member)| {
            let context = if member.private { context } else { patience };
            if view.sees(at) {
                let both = self.both_listings(view, at, member, kind, context).await;
                return Some(both.map(|both| both.map(|(whole, shown, keep)| (whole, Some(shown), keep))));
            }
            // With `merge: release`, the versions that the caller may not see are not answered by other members either.
            if self.options.rules.merge == Merge::Package || !member.private {
                return None;
            }
            let whole = self.unheld_listing(at, member, kind, context).await;
            Some(whole.map(|whole| whole.map(|(whole, keep)| (whole, None, keep))))
        }));
        let mut story = MemberStatuses::new();
        let mut sources = Sources { listings: Vec::new(), shown: Vec::new(), claims };
        for (at, listing) in listings.await.into_iter().enumerate() {
            let is_private = self.members().get(at).is_none_or(|member| member.private);
            let (whole, shown) = match listing {
                None => (None, None),
                Some(Ok(served)) => {
                    story.add(&served, served.value.2);
                    (Some(served.value.0), served.value.1)
                }
                Some(Err(error)) => {
                    // Every repository with packages has a list of them, so a missing list is a failure.
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
        if self.has_answered_since(&sources.claims, None).await? {
            sources.claims = self.claims(context).await?;
        }
        let made = self.indexed(view, kind, sources, context).await?;
        Ok(story.into_served(made.payload.clone()))
    }

    /// Merges the sources, or returns the result of the same sources.
    async fn indexed(
        self: &Arc<Self>,
        view: &View,
        kind: Kind,
        sources: Sources,
        context: RequestContext,
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
                    repository.keep_recent(view);
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
        Ok(MergedBulk { stamp, sources, entries, payload: Payload::new(payload) })
    }

    /// The entry of a package; `None` if the view does not show it.
    fn entry(&self, view: &View, kind: Kind, sources: &Sources, name: &str) -> Result<Option<Bytes>, WireError> {
        if !self.options.identity.names.allows(name) {
            return Ok(None);
        }
        let whole = |at: usize| {
            let allowed = self.members().get(at).is_some_and(|member| member.names.allows(name));
            sources.listings.get(at).and_then(Option::as_ref).filter(|_| allowed)?.entry(name)
        };
        let part = |at: usize| whole(at).filter(|_| view.reads(at, name));
        let claimants: Vec<bool> = self
            .members()
            .iter()
            .enumerate()
            .map(|(at, member)| sources.claims.is_claimed_by(at, name) || member.private && whole(at).is_some())
            .collect();
        let (mut choice, mut heard) = (MemberChoice::new(self.options.rules.merge), Vec::new());
        for at in self.options.rules.order(name, &claimants, |at| self.is_public(at)) {
            let claims = claimants.get(at) == Some(&true);
            let share = match part(at) {
                Some(_) => MemberShare::Has,
                None if claims && !view.reads(at, name) => MemberShare::Withheld,
                None => MemberShare::Absent,
            };
            heard.push(at);
            if choice.add_member(at, claims, share).is_break() {
                break;
            }
        }
        let owners = choice.owners().unwrap_or_default();
        let shown = |at: usize| sources.shown.get(at).and_then(Option::as_ref).and_then(|listing| listing.entry(name));
        let shown = |at: usize| shown(at).filter(|_| owners.contains(&at));
        if !owners.iter().any(|at| shown(*at).is_some()) {
            return Ok(None);
        }
        let part_of = |at: usize| {
            let is_private = claimants.get(at) == Some(&true);
            Some(ListedPart { whole: whole(at)?, shown: shown(at), is_private })
        };
        let parts: Vec<ListedPart<'_>> = heard.into_iter().filter_map(part_of).collect();
        match (kind, parts.as_slice()) {
            (_, [only]) => Ok(only.shown.cloned()),
            (Kind::Names, _) => {
                let entries: Vec<&[u8]> = owners.iter().filter_map(|at| part(*at)).map(AsRef::as_ref).collect();
                merge::names_entry(&entries).map(|entry| Some(Bytes::copy_from_slice(&entry)))
            }
            (Kind::Versions, parts) => versions_shown(parts),
        }
    }
}

/// What a member lists of a package.
struct ListedPart<'a> {
    whole: &'a Bytes,
    /// The entry without the releases that the member hides.
    shown: Option<&'a Bytes>,
    /// Whether the member claims the name.
    is_private: bool,
}

/// The versions that several members show, in order of priority. A version belongs to the first member that has it: if
/// that member hides it, it is not shown. A public version that differs from a private one only in the build metadata
/// is not shown either.
fn versions_shown(parts: &[ListedPart<'_>]) -> Result<Option<Bytes>, WireError> {
    let (mut taken, mut hidden, mut private) = (BTreeSet::new(), BTreeSet::new(), PrivateVersions::default());
    for (at, ListedPart { whole, shown, is_private }) in parts.iter().enumerate() {
        let left = shown.map(|shown| splice::versions_of(shown)).transpose()?.unwrap_or_default();
        let versions = splice::versions_of(whole)?;
        let is_out = |one: &&str| !left.contains(one) || !is_private && private.owner(one).is_some();
        let new: Vec<&str> = versions.iter().copied().filter(|one| taken.insert(*one)).collect();
        hidden.extend(new.into_iter().filter(is_out));
        if *is_private {
            private.add(at, versions);
        }
    }
    let entries: Vec<&[u8]> = parts.iter().map(|part| part.whole.as_ref()).collect();
    let merged = merge::versions_entry(&entries)?;
    let entry = splice::drop_versions_of(&merged, &|version| hidden.contains(version))?;
    Ok(entry.map(|entry| Bytes::copy_from_slice(&entry)))
}
