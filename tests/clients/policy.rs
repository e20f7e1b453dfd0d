//! Policies beside the clients' own: requirements as Elixir reads them, decisions as Hex makes them, and rebar3 that does
//! not get what is too fresh.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use fastrand::Rng;
use hexkeep::choice::Choice as _;
use hexkeep::clock::Timestamp;
use hexkeep::hex::build::RetirementReason;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message;
use hexkeep::hex::name::{PackageName, PolicyName, RepoName};
use hexkeep::hex::requirement::Requirement;
use hexkeep::hex::version::ReleaseVersion;
use hexkeep::policy::decide::{Decision, decide};
use hexkeep::policy::overrides::{Effect, Override};
use hexkeep::policy::release_facts::{AdvisoryFacts, PackageFacts, ReleaseFacts, Retired};
use hexkeep::policy::resource::{PublishedPolicy, Visibility};
use hexkeep::policy::rules::ReleaseRules;
use hexkeep::policy::severity::Severity;
use hexkeep::trust::{PrivateKey, Signer};
use prost::Message as _;
use tempfile::TempDir;

use crate::support::{Client, Daemon, Mix, Registry, StaticUpstream, program, script};

const DAY: u64 = 86_400;

/// Runs one of our scripts with Elixir on lines of questions; a line of answer for each.
fn ask(elixir: &std::path::Path, name: &str, paths: &[PathBuf], questions: &[String]) -> Vec<String> {
    let home = TempDir::with_prefix("hexkeep-elixir-").unwrap();
    let file = home.path().join("questions");
    std::fs::write(&file, questions.join("\n")).unwrap();
    let mut client = Client::new(elixir, home.path());
    for path in paths {
        client = client.args(["-pa".as_ref(), path.as_os_str()]);
    }
    let said = client.args([script(name), file]).succeed();
    said.lines().filter_map(|line| line.strip_prefix("answer ")).map(str::to_owned).collect()
}

fn pick<'a>(random: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[random.usize(..choices.len())]
}

fn version(random: &mut Rng) -> String {
    let number = |random: &mut Rng| random.u8(..3);
    let (major, minor, patch) = (number(random), number(random), number(random));
    let pre = pick(random, &["", "", "", "-rc.1", "-rc.2", "-rc.1.1", "-dev", "-0", "-1"]);
    let build = pick(random, &["", "", "", "", "+b"]);
    format!("{major}.{minor}.{patch}{pre}{build}")
}

fn requirement(random: &mut Rng) -> String {
    let mut text = String::new();
    for place in 0..=random.u8(..4) {
        if place > 0 {
            text.push_str(pick(random, &[" and ", " or "]));
        }
        let operator = pick(random, &["== ", "!= ", ">= ", "> ", "<= ", "< ", "~> ", "~>", ""]);
        let mut version = version(random);
        if operator.starts_with("~>") && random.bool() {
            version = version.replacen(".0", "", 1).replacen(".1", "", 1);
        }
        text.push_str(&format!("{operator}{version}"));
    }
    text
}

pub(crate) fn requirements_match_as_elixir_says() {
    let elixir = program("elixir");
    let mut random = Rng::with_seed(5);
    let questions: Vec<(String, String)> =
        (0..4000).map(|_| (requirement(&mut random), version(&mut random))).collect();
    let lines: Vec<String> =
        questions.iter().map(|(requirement, version)| format!("{requirement}|{version}")).collect();
    let answers = ask(&elixir, "requirements.exs", &[], &lines);
    assert_eq!(answers.len(), questions.len());
    let mut seen = BTreeSet::new();
    for ((requirement, version), answer) in questions.iter().zip(&answers) {
        let parsed: ReleaseVersion = version.parse().unwrap();
        let ours = match Requirement::with_unequal(requirement) {
            Ok(requirement) => requirement.matches(&parsed).to_string(),
            Err(_) => "error".to_owned(),
        };
        assert_eq!(ours, *answer, "{requirement} on {version}");
        seen.insert(ours);
    }
    assert_eq!(seen.len(), 3, "all kinds of answers came up: {seen:?}");
}

/// A policy, and a release with what is known of it.
struct Scene {
    rules: ReleaseRules,
    package: PackageFacts,
}

fn scene(random: &mut Rng, now: u64) -> Scene {
    let maybe = |random: &mut Rng| random.u8(..3) > 0;
    let severities = ["none", "low", "medium", "high", "critical"];
    let severity = |word: &str| Severity::from_word(word).unwrap();
    let reason = |random: &mut Rng| RetirementReason::ALL[random.usize(..5)];
    let overrides = (0..random.u8(..4)).map(|_| Override {
        effect: match random.u8(..5) {
            0 => Effect::Allow,
            1 => Effect::Deny,
            2 => Effect::IgnoreAdvisory(pick(random, &["GHSA-1", "cve-1", "GHSA-2"]).to_owned()),
            3 => Effect::IgnoreRetirement(reason(random)),
            _ => Effect::IgnoreCooldown,
        },
        package: pick(random, &["jason", "jason", "jason", "plug"]).parse().unwrap(),
        requirement: random.bool().then(|| Requirement::with_unequal(&requirement(random)).ok()).flatten(),
        until: None,
        reason: random.bool().then(|| "because".to_owned()),
        by: None,
    });
    let rules = ReleaseRules {
        overrides: overrides.collect(),
        cooldown: maybe(random).then(|| pick(random, &["0", "3d", "1w", "1mo"]).parse().unwrap()),
        advisory_min_severity: maybe(random).then(|| severity(pick(random, &severities))),
        retirement_reasons: (0..random.u8(..4)).map(|_| reason(random)).collect(),
        ..ReleaseRules::default()
    };
    let text = version(random);
    let advisory = |id: &str, random: &mut Rng| AdvisoryFacts {
        id: id.into(),
        aliases: vec![id.replace("GHSA", "CVE").into()],
        severity: if random.u8(..6) == 0 { Severity::Unknown } else { severity(pick(random, &severities)) },
        is_signed: true,
    };
    let advisories = vec![advisory("GHSA-1", random), advisory("GHSA-2", random)];
    let age = [0, 1, 2, 3, 4, 6, 7, 8, 29, 30, 31][random.usize(..11)] * DAY + u64::from(random.u8(..2));
    let release = ReleaseFacts {
        version: text.parse().ok(),
        text: text.into(),
        outer: None,
        inner: None,
        published_at: maybe(random).then(|| Timestamp::from_secs(now - age)),
        retired: random.bool().then(|| Retired(Some(reason(random)))),
        advisories: (0..2).filter(|_| random.bool()).collect(),
    };
    Scene { rules, package: PackageFacts { name: "jason".into(), releases: vec![release], advisories } }
}

/// One line for the script: the policy as we publish it, and what the client knows of the release.
fn question(scene: &Scene, now: u64) -> String {
    let (repository, name): (RepoName, PolicyName) = ("acme".parse().unwrap(), "company".parse().unwrap());
    let exempt: [PackageName; 0] = [];
    let published = PublishedPolicy {
        repository: &repository,
        name: &name,
        description: None,
        visibility: Visibility::Public,
        rules: &scene.rules,
        waivers: &[],
        exempt: &exempt,
    };
    let policy = base64::engine::general_purpose::STANDARD.encode(published.encode(Timestamp::from_secs(now)));
    let release = &scene.package.releases[0];
    let severity = |severity: Severity| match severity {
        Severity::Unknown => "9".to_owned(),
        known => format!("SEVERITY_{}", known.word().to_uppercase()),
    };
    let advisories: Vec<String> = scene
        .package
        .advisories_of(release)
        .map(|advisory| format!("{}/{}/{}", advisory.id, advisory.aliases[0], severity(advisory.severity)))
        .collect();
    let retired =
        release.retired.and_then(|retired| retired.0).map(|reason| format!("RETIRED_{}", reason.word().to_uppercase()));
    let published = release.published_at.map(|at| at.as_secs().to_string());
    [
        policy,
        release.text.to_string(),
        published.unwrap_or_default(),
        retired.unwrap_or_default(),
        advisories.join(","),
        now.to_string(),
    ]
    .join("|")
}

pub(crate) fn decisions_are_those_of_hex_under_the_policy_as_we_publish_it() {
    let elixir = program("elixir");
    let ebin = Mix::installed().hex().expect("the folder of Hex");
    let (mut random, now) = (Rng::with_seed(7), 1_790_000_000);
    let scenes: Vec<Scene> = (0..3000).map(|_| scene(&mut random, now)).collect();
    let questions: Vec<String> = scenes.iter().map(|scene| question(scene, now)).collect();
    let answers = ask(&elixir, "policy.exs", &[ebin], &questions);
    assert_eq!(answers.len(), scenes.len());
    let mut held = 0;
    for (scene, answer) in scenes.iter().zip(&answers) {
        let release = &scene.package.releases[0];
        let decision = decide(&scene.package, release, &scene.rules, &(), Timestamp::from_secs(now));
        let ours = if matches!(decision, Decision::Allowed { .. }) { "allowed" } else { "blocked" };
        held += u32::from(ours == "blocked");
        assert_eq!(ours, answer, "{release:?} {:?} {:?}", scene.package.advisories, scene.rules);
    }
    assert!((500..2500).contains(&held), "both kinds of answers came up: {held}");
}

/// An upstream whose `job_ledger` 99.0.0 is two days old, and all else a year.
struct Fresh {
    upstream: StaticUpstream,
    /// Its public key, indented for YAML.
    pem: String,
    _dir: TempDir,
}

/// The upstream alone, signed again; and behind a virtual repository of the same name, or of another one.
const ALONE: &str = "    signature: own\n    policy: company\n";
const PASSED: &str = "    policy: company\n";
const UNITED: &str = "    name: hexpm\n  acme: {type: local}\n  hexpm: {type: virtual, members: [acme, upstream], policy: \
                      company, anonymous_read: true}\n";
const GATE: &str = "    name: hexpm\n  hexpm: {type: virtual, members: [upstream]}\n  gate: {type: virtual, members: \
                    [upstream], policy: company, anonymous_read: true}\n";

impl Fresh {
    fn set(rebar3: &std::path::Path) -> Self {
        let dir = TempDir::with_prefix("hexkeep-clients-").unwrap();
        let registry = Registry::build(rebar3, &dir.path().join("upstream"));
        let key = PrivateKey::from_pem(include_str!("../../src/trust/testdata/test-only-key.pem")).unwrap();
        let signer = Signer::new(&key).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        with_a_fresh_release(&registry, &signer, now - 2 * DAY);
        let pem = key.public().to_spki_pem().lines().map(|line| format!("      {line}\n")).collect();
        Self { upstream: StaticUpstream::serve(&registry.folder), pem, _dir: dir }
    }

    /// `key` is the remote repository's, `more` what follows its keys.
    fn config(&self, key: &str, rules: &str, more: &str) -> String {
        format!(
            "server: {{listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0}}\nstorage: {{path: ./store}}\n\
             policies: {{company: {{mode: enforce, repositories: {{{key}: {{{rules}}}}}}}}}\n\
             repositories:\n  {key}:\n    type: remote\n    url: {}\n    public_key: |\n{}{more}",
            self.upstream.url(),
            self.pem
        )
    }
}

/// rebar3 with nothing but a project in `project`, which wants `job_ledger`.
fn get_deps(rebar3: &std::path::Path, daemon: &Daemon, project: &TempDir) -> Client {
    let deps = format!(
        "{{deps, [{{job_ledger, \">= 2.0.0\"}}]}}.\n\
         {{hex, [{{repos, [#{{name => <<\"hexpm\">>, repo_public_key => <<\"{}\">>}}]}}]}}.\n",
        daemon.public_key("hexpm")
    );
    std::fs::write(project.path().join("rebar.config"), deps).unwrap();
    let home = project.path().join("home");
    let _ = std::fs::remove_dir_all(&home);
    Client::new(rebar3, &home)
        .env("REBAR_CACHE_DIR", home.join("cache"))
        .env("HEX_CDN", daemon.url())
        .dir(project.path())
        .args(["get-deps"])
}

fn empty() -> TempDir {
    TempDir::with_prefix("hexkeep-project-").unwrap()
}

pub(crate) fn rebar3_does_not_get_what_is_too_fresh_until_its_time_has_come() {
    let rebar3 = program("rebar3");
    let fresh = Fresh::set(&rebar3);
    for (key, more, cooldown, expected) in [
        ("hexpm", ALONE, "3d", "2.4.0"),
        ("hexpm", ALONE, "1d", "99.0.0"),
        ("upstream", UNITED, "3d", "2.4.0"),
        ("upstream", UNITED, "1d", "99.0.0"),
    ] {
        let daemon = Daemon::start(&fresh.config(key, &format!("cooldown: {cooldown}"), more));
        let said = get_deps(&rebar3, &daemon, &empty()).succeed();
        assert!(said.contains(&format!("Fetching job_ledger v{expected}\n")), "{cooldown}:\n{said}");
        assert_eq!(said.contains("v99.0.0"), expected == "99.0.0", "{cooldown}:\n{said}");
    }
}

pub(crate) fn rebar3_gets_what_is_waived_and_what_is_pinned_until_it_is_denied() {
    let rebar3 = program("rebar3");
    let fresh = Fresh::set(&rebar3);
    let mut daemon = Daemon::start(&fresh.config("hexpm", "cooldown: 3d", ALONE));
    assert!(get_deps(&rebar3, &daemon, &empty()).succeed().contains("Fetching job_ledger v2.4.0\n"));
    let waive = ["policy", "waive", "hexpm", "job_ledger", "--until", "2099-12-31", "--reason", "SEC-1"];
    assert_eq!(daemon.hexkeep(&waive, "").trim(), "1");
    let project = empty();
    let said = get_deps(&rebar3, &daemon, &project).succeed();
    assert!(said.contains("Fetching job_ledger v99.0.0\n"), "{said}");
    let lock = std::fs::read_to_string(project.path().join("rebar.lock")).unwrap();
    assert!(lock.contains("99.0.0"), "{lock}");

    // A delivery under a waiver is no exemption: without the waiver the lock file needs a pin.
    daemon.hexkeep(&["policy", "withdraw", "hexpm", "1"], "");
    let again = |daemon: &Daemon| {
        let project = empty();
        std::fs::write(project.path().join("rebar.lock"), &lock).unwrap();
        let ran = get_deps(&rebar3, daemon, &project).run();
        assert_eq!(std::fs::read_to_string(project.path().join("rebar.lock")).unwrap(), lock, "{}", ran.text);
        ran
    };
    let is_refused =
        |succeeded: bool, text: &str| !succeeded && text.contains("Package not found in any repo: job_ledger 99.0.0");
    let ran = again(&daemon);
    assert!(is_refused(ran.status.success(), &ran.text), "{}", ran.text);
    let file = project.path().join("rebar.lock");
    daemon.hexkeep(&["pin", "hexpm", "--lock", file.to_str().unwrap(), "--reason", "SEC-1"], "");
    let ran = again(&daemon);
    assert!(ran.status.success() && ran.text.contains("Fetching job_ledger v99.0.0\n"), "{}", ran.text);
    let denied = "overrides: [{deny: job_ledger, requirement: \"99.0.0\", reason: malware}]";
    daemon.restart_with(&fresh.config("hexpm", denied, ALONE));
    let ran = again(&daemon);
    assert!(is_refused(ran.status.success(), &ran.text), "{}", ran.text);
}

/// mix in a project that wants `job_ledger` of `repository`, and knows its key.
struct Wanting<'a> {
    mix: &'a Mix,
    dir: TempDir,
    url: String,
}

impl<'a> Wanting<'a> {
    fn new(mix: &'a Mix, daemon: &Daemon, repository: &str) -> Self {
        let dir = empty();
        let from = if repository == "hexpm" { String::new() } else { format!(", repo: \"{repository}\"") };
        let project = format!(
            "defmodule Shop.MixProject do\n  use Mix.Project\n  def project, do: [app: :shop, version: \"0.1.0\", deps: deps()]\n  \
             defp deps, do: [{{:job_ledger, \">= 2.0.0\"{from}}}]\nend\n"
        );
        std::fs::write(dir.path().join("mix.exs"), project).unwrap();
        let key = dir.path().join("key.pem");
        std::fs::write(&key, daemon.public_key(repository)).unwrap();
        let wanting = Self { mix, dir, url: daemon.url() };
        let (key, url) = (key.to_str().unwrap(), format!("{}/repos/{repository}", daemon.url()));
        if repository == "hexpm" {
            wanting.run(&["hex.repo", "set", "hexpm", "--public-key", key]).succeed();
        } else {
            wanting.run(&["hex.repo", "add", repository, &url, "--public-key", key]).succeed();
        }
        wanting
    }

    fn run(&self, args: &[&str]) -> Client {
        let home = self.dir.path().join("home");
        self.mix.client(&home, self.dir.path()).env("HEX_MIRROR_URL", &self.url).env("NO_COLOR", "1").args(args)
    }
}

pub(crate) fn mix_shows_and_applies_the_policy_that_is_published() {
    let (rebar3, mix) = (program("rebar3"), Mix::installed());
    let fresh = Fresh::set(&rebar3);
    let rules = "cooldown: 3d, advisory_min_severity: high, retirement_reasons: [security], \
                 overrides: [{deny: evil_pkg, reason: typosquat}]";
    let daemon = Daemon::start(&fresh.config("upstream", rules, GATE));
    let show = |args: &[&str]| {
        let project = Wanting::new(&mix, &daemon, "gate");
        project.run(args).env("HEX_POLICY", "gate/company").succeed()
    };
    let said = show(&["hex.policy", "show"]);
    for words in ["Active policy: gate/company", "gate:", "3d", "HIGH", "SECURITY", "evil_pkg", "DENY", "typosquat"] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
    let got = show(&["deps.get"]);
    assert!(got.contains("job_ledger 2.4.0") && !got.contains("99.0.0"), "{got}");

    let waive = ["policy", "waive", "gate", "job_ledger", "--until", "2099-12-31", "--reason", "SEC-1"];
    daemon.hexkeep(&waive, "");
    let said = show(&["hex.policy", "show"]);
    assert!(said.contains("job_ledger") && said.contains("ALLOW") && said.contains("SEC-1"), "{said}");
    let got = show(&["deps.get"]);
    assert!(got.contains("job_ledger 99.0.0"), "here and there: {got}");
}

pub(crate) fn mix_says_why_a_download_is_refused() {
    let (rebar3, mix) = (program("rebar3"), Mix::installed());
    let fresh = Fresh::set(&rebar3);
    let daemon = Daemon::start(&fresh.config("hexpm", "cooldown: 3d", PASSED));
    let ran = Wanting::new(&mix, &daemon, "hexpm").run(&["deps.get"]).run();
    let sentence = "job_ledger 99.0.0 is held by the policy company: it was published less than 3d ago";
    assert!(!ran.status.success() && ran.text.contains(sentence), "{}", ran.text);
}

/// Adds `job_ledger` 99.0.0, published then, and signs every package with another key: the folder's own is not known.
fn with_a_fresh_release(registry: &Registry, signer: &Signer, published: u64) {
    let at = |seconds: u64| Some(message::Timestamp { seconds: i64::try_from(seconds).unwrap(), nanos: 0 });
    for entry in std::fs::read_dir(registry.folder.join("packages")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap().into();
        let mut package = message::Package::decode(Envelope::open(bytes, 1 << 24).unwrap().payload).unwrap();
        for release in &mut package.releases {
            release.published_at = at(published - 300 * DAY);
        }
        if package.name == "job_ledger" {
            let mut fresh = package.releases.iter().find(|release| release.version == "2.4.0").unwrap().clone();
            fresh.version = "99.0.0".to_owned();
            fresh.published_at = at(published);
            package.releases.push(fresh);
            let tarballs = registry.folder.join("tarballs");
            std::fs::copy(tarballs.join("job_ledger-2.4.0.tar"), tarballs.join("job_ledger-99.0.0.tar")).unwrap();
        }
        std::fs::write(path, signer.seal(&package.encode_to_vec()).unwrap().body()).unwrap();
    }
}
