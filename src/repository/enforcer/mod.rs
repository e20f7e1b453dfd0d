//! An active policy in one view: evaluates packages, exempts releases in lock files, and reports denials.
//!
//! Lists, tarballs and docs use the same evaluation. It is cached until the index, an exemption or the time changes it.

mod enforcers;
mod evaluations;
mod exemptions;
mod filtered_resources;
mod known_releases;
mod licences;
mod statements;
mod waivers;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use enforcers::Enforcers;
pub use evaluations::Unevaluated;
pub use filtered_resources::{FilteredLists, UnfilteredLists, Wait};
pub use statements::{HiddenRelease, PolicyCounts, PolicyStatements, ReleaseDecision, notice};

use super::error::RepoError;
use super::fetch_log::FetchLog;
use crate::auth::ReadGrant;
use crate::cache::error::Internal;
use crate::cache::payload::Payload;
use crate::cache::{CacheError, SharedCaches};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, PolicyName, RepoName};
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::policy::decide::{Decision, decide};
use crate::policy::decision_inputs::{DecisionInputs as _, Pinned};
use crate::policy::filter::{Evaluation, HeldRelease, evaluate};
use crate::policy::release_facts::{PackageFacts, ReleaseFacts};
use crate::policy::rules::{Mode, Policy, ReleaseRules, RuleInput};
use crate::state::audit::{Action, Actor};
use crate::state::exemptions::{LockedRelease, View};
use crate::state::fetches::FetchOutcome;
use crate::state::{State, StateError};
use crate::telemetry::metrics::ReasonLabels;
use crate::trust::VerifyError;
use evaluations::Evaluations;
use exemptions::Exemptions;
use filtered_resources::FilteredResources;
use known_releases::{Known, Unreadable};
use waivers::Waived;

/// How many packages have their evaluation in memory. Evaluating one again takes less than a millisecond.
const EVALUATIONS: u64 = 50_000;

/// If the same caller requests the same held release within this time, it is logged only once.
const QUIET: Duration = Duration::from_secs(600);

/// How many denials are remembered for that.
const DENIALS: u64 = 10_000;

/// The settings of an enforcer.
#[derive(Clone, Debug)]
pub struct PolicyOptions {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Counts requests for held releases.
    pub fetch_log: Arc<FetchLog>,
    /// The policies with which it shares what it learns.
    pub together: Arc<Enforcers>,
}

/// An active policy in one view.
#[derive(Debug)]
pub struct Enforcer {
    /// Key of the repository that clients request.
    view: RepoName,
    policy: Arc<Policy>,
    /// When it became active in the view.
    since: Timestamp,
    fetch_log: Arc<FetchLog>,
    shared: SharedCaches,
    state: State,
    book: Exemptions,
    judgements: moka::sync::Cache<(RepoName, PackageName), Arc<Judgement>>,
    denials: moka::sync::Cache<Denial, ()>,
    evaluations: Evaluations,
    /// Counts the changes that affect all evaluations.
    generation: AtomicU64,
    together: Arc<Enforcers>,
    made: FilteredResources,
    waived: Waived,
}

type Denial = (ArtifactName, &'static str, Option<String>, Option<IpAddr>);

/// The evaluation of a package by a policy.
#[derive(Debug)]
pub struct Judgement {
    /// Digest of the evaluated index.
    source: Sha256,
    generation: u64,
    /// The decisions.
    pub evaluation: Evaluation,
    /// The releases whose licences are needed and were unknown, by their checksums in the index.
    unread: Vec<Sha256>,
    /// Those whose licences were known.
    read: Vec<Sha256>,
}

impl Judgement {
    /// Whether the licences of the release with this checksum are needed and were known, and it is not held.
    pub fn allows_licences(&self, version: &str, checksum: &Sha256) -> bool {
        self.read.contains(checksum) && self.evaluation.held(version).is_none()
    }
}

/// The package that is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct JudgedPackage<'a> {
    /// Key of the repository that the package comes from.
    pub source: &'a RepoName,
    /// The package.
    pub package: &'a PackageName,
    /// Digest of its verified index.
    pub digest: Sha256,
    /// When its upstream confirmed it.
    pub confirmed_at: Timestamp,
    /// The value of [`Enforcer::generation`] before any data was read.
    pub generation: u64,
}

/// Proves the age of releases without a date.
#[derive(Clone, Debug, Default)]
pub struct AgeProofs {
    /// When the package last changed according to the signed list of its repository, and when that list was confirmed.
    pub touched: Option<(Timestamp, Timestamp)>,
    /// When this server first saw each release with its current checksum.
    pub first_seen: HashMap<Box<str>, Timestamp>,
}

impl AgeProofs {
    /// The times when this server first saw the releases, and no other proof.
    pub fn seen(first_seen: HashMap<Box<str>, Timestamp>) -> Self {
        Self { first_seen, ..Self::default() }
    }
}

/// The sender of a request.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The caller's right to read.
    pub grant: &'a ReadGrant,
    /// The client's address.
    pub client: Option<IpAddr>,
}

impl Enforcer {
    /// The policy of the view `view`, without evaluations.
    pub fn new(view: RepoName, options: PolicyOptions, shared: SharedCaches, state: State) -> Arc<Self> {
        let denials = moka::sync::Cache::builder().max_capacity(DENIALS).time_to_live(QUIET).build();
        let made = FilteredResources::new(shared.tasks.clone());
        let enforcer = Arc::new(Self {
            book: Exemptions::new(view.clone(), state.clone()),
            view,
            policy: options.policy,
            since: shared.clock.now(),
            fetch_log: options.fetch_log,
            shared,
            state,
            judgements: moka::sync::Cache::new(EVALUATIONS),
            denials,
            evaluations: Evaluations::default(),
            generation: AtomicU64::new(0),
            together: Arc::clone(&options.together),
            made,
            waived: Waived::default(),
        });
        options.together.add(&enforcer);
        enforcer
    }

    /// Key of the repository that clients request.
    pub fn view(&self) -> &RepoName {
        &self.view
    }

    /// The policy's name.
    pub fn name(&self) -> &PolicyName {
        &self.policy.name
    }

    /// Its description for clients.
    pub fn description(&self) -> Option<&str> {
        self.policy.description.as_deref()
    }

    /// When it became active: at the start of the daemon, or with the reload that created it.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The rules for releases that come from this repository.
    pub fn rules(&self, source: &RepoName) -> Option<&ReleaseRules> {
        self.policy.repositories.get(source)
    }

    /// The time that its decisions are based on.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Whether held releases are unavailable. They are available in a dry run.
    pub fn is_enforced(&self) -> bool {
        self.policy.mode == Mode::Enforce
    }

    /// The cached evaluation of a package, if it is still valid.
    pub fn known(&self, subject: JudgedPackage<'_>) -> Option<Arc<Judgement>> {
        let judgement = self.judgements.get(&(subject.source.clone(), subject.package.clone()))?;
        let now = self.shared.clock.now();
        let holds = judgement.source == subject.digest
            && judgement.generation == subject.generation
            && judgement.evaluation.next_change.is_none_or(|change| now < change);
        holds.then_some(judgement)
    }

    /// Whether any of these releases has no date, and a rule needs another proof of its age.
    pub fn needs_proofs(&self, source: &RepoName, facts: &PackageFacts) -> bool {
        let needed = self.rules(source).is_some_and(|rules| rules.need(RuleInput::ProvenAge));
        needed && facts.releases.iter().any(|release| release.published_at.is_none())
    }

    /// Evaluates a package.
    pub async fn judge(
        &self,
        subject: JudgedPackage<'_>,
        facts: PackageFacts,
        proofs: AgeProofs,
    ) -> Result<Arc<Judgement>, RepoError> {
        let source = subject.source;
        let (judgement, allowed) = self.judged(subject, facts, proofs).await?;
        if self.rules(source).is_some() {
            self.note_evaluated(subject, &judgement, allowed);
            self.judgements.insert((source.clone(), subject.package.clone()), Arc::clone(&judgement));
        }
        Ok(judgement)
    }

    /// Evaluates a release that its index does not list any more. The result is not cached.
    pub async fn judge_alone(
        &self,
        subject: JudgedPackage<'_>,
        facts: PackageFacts,
        proofs: AgeProofs,
    ) -> Result<Arc<Judgement>, RepoError> {
        Ok(self.judged(subject, facts, proofs).await?.0)
    }

    /// An evaluation, and the versions that it allows.
    async fn judged(
        &self,
        subject: JudgedPackage<'_>,
        facts: PackageFacts,
        proofs: AgeProofs,
    ) -> Result<(Arc<Judgement>, HashSet<Box<str>>), RepoError> {
        let JudgedPackage { source, generation, .. } = subject;
        let Some(rules) = self.rules(source).cloned() else {
            let (source, evaluation) = (subject.digest, Evaluation::default());
            let judgement = Judgement { source, generation, evaluation, unread: Vec::new(), read: Vec::new() };
            return Ok((Arc::new(judgement), HashSet::new()));
        };
        let checksums = facts.releases.iter().filter_map(ReleaseFacts::checksum).collect();
        let now = self.shared.clock.now();
        let work = move |known: &Known<'_>| {
            let evaluation = evaluate(&facts, &rules, known, now);
            let held = |release: &ReleaseFacts| evaluation.held(&release.text).is_some();
            let allowed = facts.releases.iter().filter(|release| !held(release)).map(|release| release.text.clone());
            let allowed = allowed.collect();
            let asked =
                facts.releases.iter().filter(|_| rules.need(RuleInput::Licences)).filter_map(ReleaseFacts::checksum);
            let (read, unread): (Vec<_>, Vec<_>) = asked.partition(|checksum| known.licences.contains_key(checksum));
            (evaluation, allowed, unread, read)
        };
        let (evaluation, allowed, unread, read) = self.with_known(subject, checksums, proofs, work).await?;
        if self.is_enforced() {
            self.book.begin_graces(source, subject.package, &evaluation.first_held, now).await;
        }
        Ok((Arc::new(Judgement { source: subject.digest, generation, evaluation, unread, read }), allowed))
    }

    /// The decision about each release of a package, with the reason, in the order of its index.
    pub async fn decisions(
        &self,
        subject: JudgedPackage<'_>,
        facts: PackageFacts,
        proofs: AgeProofs,
    ) -> Result<Vec<(Box<str>, ReleaseDecision)>, RepoError> {
        let Some(rules) = self.rules(subject.source).cloned() else { return Ok(Vec::new()) };
        let now = self.shared.clock.now();
        let checksums = facts.releases.iter().filter_map(ReleaseFacts::checksum).collect();
        let work = move |known: &Known<'_>| {
            let one = |release: &ReleaseFacts| {
                let decision = decide(&facts, release, &rules, known, now);
                // A decision that is the same for every licence does not depend on unread licences.
                let unreadable = || decide(&facts, release, &rules, &Unreadable(known), now);
                let is_so_far = rules.need(RuleInput::Licences)
                    && known.licences(release).is_none()
                    && matches!(decision, Decision::Allowed { .. })
                    && matches!(unreadable(), Decision::Held { .. });
                (release.text.clone(), ReleaseDecision { decision, is_provisional: is_so_far })
            };
            facts.releases.iter().map(one).collect()
        };
        self.with_known(subject, checksums, proofs, work).await
    }

    /// Runs `work` with all data about the releases of a package, which have these checksums.
    async fn with_known<T: Send + 'static>(
        &self,
        subject: JudgedPackage<'_>,
        checksums: Vec<Sha256>,
        proofs: AgeProofs,
        work: impl FnOnce(&Known<'_>) -> T + Send + 'static,
    ) -> Result<T, RepoError> {
        let owed = self.book.of(subject.source, subject.package).await?;
        let waivers = self.waivers().await?;
        let asked = self.asks_about_licences(subject.source);
        let recent = self.together.recent.clone();
        let done = self.shared.blocking(move |store| {
            let licences = if asked { licences::known(store, &recent, &checksums) } else { HashMap::new() };
            work(&Known { owed: &owed, proofs: &proofs, licences, waivers: &waivers })
        });
        Ok(done.await?)
    }

    /// Protects the releases in lock files until a time, or for ever without one.
    pub async fn pin(
        &self,
        pins: &[LockedRelease<'_>],
        until: Option<Timestamp>,
        reason: &str,
        by: &Actor,
    ) -> Result<(), StateError> {
        let now = self.shared.clock.now();
        for source in self.policy.repositories.keys() {
            let view = View { view: self.view.as_str(), source: source.as_str() };
            self.state.pin(view, pins, until, reason, now, by).await?;
        }
        self.forget_owed().await;
        Ok(())
    }

    /// Removes the pins of packages and versions; returns how many releases had one.
    pub async fn unpin(&self, releases: &[(&str, &str)], by: &Actor) -> Result<u64, StateError> {
        let count = self.state.unpin(self.view.as_str(), releases, self.shared.clock.now(), by).await?;
        self.forget_owed().await;
        Ok(count)
    }

    /// Runs work that blocks briefly.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, RepoError> {
        Ok(self.shared.blocking(move |_| work()).await?)
    }

    /// Records that a release is delivered. If this fails, it is delivered all the same. `licences_known`: whether the
    /// licences are needed here, have been read, and are allowed.
    pub async fn delivered(&self, source: &RepoName, release: &ArtifactName, checksum: &Sha256, licences_known: bool) {
        if self.rules(source).is_none() {
            return;
        }
        let now = self.shared.clock.now();
        if let Err(error) = self.book.deliver(source, release, checksum, licences_known, now).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                view = %self.view, %release, error,
                "a delivery could not be recorded: if a rule holds the release later, builds whose lock files contain it fail"
            );
        }
    }

    /// Discards cached exemptions, after something else than a delivery has changed them in the database.
    pub async fn forget_owed(&self) {
        self.book.forget().await;
        self.forget_judgements();
    }

    /// Discards all evaluations, after something has changed that affects them.
    fn forget_judgements(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.evaluations.clear();
    }

    /// Fails if a release is held; in a dry run this is only reported.
    pub fn check_held(&self, judgement: &Judgement, release: &ArtifactName, asker: Asker<'_>) -> Result<(), RepoError> {
        match judgement.evaluation.held(release.version.as_str()) {
            Some(held) => self.deny(release, held, asker),
            None => Ok(()),
        }
    }

    /// Whether a rule depends on more in the index than the age of releases.
    pub fn asks_what_an_index_says(&self, source: &RepoName) -> bool {
        self.rules(source).is_some_and(|rules| rules.need(RuleInput::Remarks))
    }

    /// Whether a release with this checksum is exempt for lock files: it was delivered, or has a pin that has not
    /// ended.
    pub async fn is_exempt(
        &self,
        source: &RepoName,
        release: &ArtifactName,
        checksum: &Sha256,
    ) -> Result<bool, RepoError> {
        let (owed, checksum) = (self.book.of(source, &release.package).await?, checksum.to_string());
        let now = self.shared.clock.now();
        let lasts = |pin: Pinned| pin.until.is_none_or(|until| now < until);
        let all = owed.get(release.version.as_str()).map(Vec::as_slice).unwrap_or_default();
        Ok(all.iter().any(|(of, exemption)| {
            *of == checksum && (exemption.delivered.is_some() || exemption.pinned.is_some_and(lasts))
        }))
    }

    /// Handles a request for a held release: counts and records it, and fails if the policy is enforced.
    fn deny(&self, release: &ArtifactName, held: &HeldRelease, asker: Asker<'_>) -> Result<(), RepoError> {
        self.refuse(release, held.reason.word(), self.sentence(release, held), asker)
    }

    /// Refuses a release for which not all rules can be decided, if the policy is enforced. `why` is a complete clause.
    pub fn refuse_undecided(&self, release: &ArtifactName, why: &str, asker: Asker<'_>) -> Result<(), RepoError> {
        let (package, version, policy) = (&release.package, &release.version, &self.policy.name);
        let text =
            format!("{package} {version} is held by the policy {policy}: {why}, so not all its rules can be decided");
        self.refuse(release, "undecided", plain(&text), asker)
    }

    /// Handles a request for a release that the rule of this word holds.
    fn refuse(
        &self,
        release: &ArtifactName,
        word: &'static str,
        sentence: String,
        asker: Asker<'_>,
    ) -> Result<(), RepoError> {
        let labels = ReasonLabels { repository: self.view.as_str().into(), reason: word };
        let (counter, action, outcome) = match self.policy.mode {
            Mode::Enforce => (&self.shared.metrics.policy_denied, Action::PolicyDenied, FetchOutcome::Held),
            Mode::DryRun => (&self.shared.metrics.policy_would_deny, Action::PolicyWouldDeny, FetchOutcome::WouldHold),
        };
        let held_by = (outcome, word);
        self.fetch_log.held(&self.view, release, held_by, asker.grant.caller(), asker.client);
        counter.get_or_create(&labels).inc();
        self.write_down(action, release, word, &sentence, asker);
        match self.policy.mode {
            Mode::Enforce => Err(RepoError::Held { sentence: sentence.into() }),
            Mode::DryRun => Ok(()),
        }
    }

    fn write_down(&self, action: Action, release: &ArtifactName, word: &'static str, sentence: &str, asker: Asker<'_>) {
        let by = match asker.grant.caller().principal() {
            Some(principal) => principal.by(),
            None => Actor { address: asker.client, ..Actor::default() },
        };
        let denial = (release.clone(), word, by.actor.clone(), by.address);
        if !self.denials.entry(denial).or_insert(()).is_fresh() {
            return;
        }
        tracing::info!(view = %self.view, %release, rule = word, actor = by.actor, "{sentence}");
        let (state, now, view) = (self.state.clone(), self.shared.clock.now(), self.view.clone());
        let (release, sentence) = (release.clone(), sentence.to_owned());
        self.shared.tasks.spawn(async move {
            let subject = (view.as_str(), Some(release.package.as_str()), Some(release.version.as_str()));
            if let Err(error) = state.audit_by(now, action, subject, &sentence, &by).await {
                tracing::error!(%view, error = &error as &dyn std::error::Error, "the audit log could not be written");
            }
        });
    }
}

/// Replaces all but printable ASCII, and quotation marks, so that the text can be a header value.
fn plain(text: &str) -> String {
    let plain = |character: char| match character {
        '"' | '\\' => '\'',
        ' '..='~' => character,
        _ => '?',
    };
    text.chars().map(plain).collect()
}

/// The facts about a package that a policy evaluates. Blocks.
pub(super) fn facts_of(payload: &Payload, package: PackageName) -> Result<PackageFacts, CacheError> {
    let resource = RegistryResource::Package(package);
    PackageFacts::read(&payload.bytes()?)
        .map_err(|source| CacheError::untrusted(VerifyError::Schema { resource, source }))
}

/// A task of the blocking pool or the database has failed.
fn failed(error: StateError) -> RepoError {
    RepoError::Internal(CacheError::internal(Internal::Gate(Box::new(error))))
}
