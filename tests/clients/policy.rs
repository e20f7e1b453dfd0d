//! Policies beside the clients' own: requirements as Elixir reads them, decisions as Hex makes them, and rebar3 that does
//! not get what is too fresh.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use fastrand::Rng;
use hexkeep::clock::Timestamp;
use hexkeep::hex::build::RetirementReason;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message;
use hexkeep::hex::name::{PackageName, PolicyName, RepoName};
use hexkeep::hex::requirement::Requirement;
use hexkeep::hex::version::ReleaseVersion;
use hexkeep::policy::decide::{Decision, decide};
use hexkeep::policy::facts::{AdvisoryFacts, PackageFacts, ReleaseFacts, Retired};
use hexkeep::policy::overrides::{Effect, Override};
use hexkeep::policy::resource::{Published, Visibility};
use hexkeep::policy::rules::Rules;
use hexkeep::policy::severity::Severity;
use hexkeep::trust::{PrivateKey, Signer};
use prost::Message as _;
use tempfile::TempDir;

use crate::support::{Client, Daemon, Mix, Registry, StaticUpstream, find_client, missing, script};

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

#[test]
fn requirements_match_as_elixir_says() {
    let Some(elixir) = find_client("elixir") else { return };
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
    rules: Rules,
    package: PackageFacts,
}

fn scene(random: &mut Rng, now: u64) -> Scene {
    let maybe = |random: &mut Rng| random.u8(..3) > 0;
    let severities = ["none", "low", "medium", "high", "critical"];
    let severity = |word: &str| Severity::WORDS.iter().find(|(name, _)| *name == word).unwrap().1;
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
    let rules = Rules {
        overrides: overrides.collect(),
        cooldown: maybe(random).then(|| pick(random, &["0", "3d", "1w", "1mo"]).parse().unwrap()),
        advisory_min_severity: maybe(random).then(|| severity(pick(random, &severities))),
        retirement_reasons: (0..random.u8(..4)).map(|_| reason(random)).collect(),
        ..Rules::default()
    };
    let text = version(random);
    let advisory = |id: &str, random: &mut Rng| AdvisoryFacts {
        id: id.into(),
        aliases: vec![id.replace("GHSA", "CVE").into()],
        severity: if random.u8(..6) == 0 { Severity::Unknown } else { severity(pick(random, &severities)) },
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
    let published = Published {
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
        known => format!("SEVERITY_{}", known.as_str().to_uppercase()),
    };
    let advisories: Vec<String> = scene
        .package
        .advisories_of(release)
        .map(|advisory| format!("{}/{}/{}", advisory.id, advisory.aliases[0], severity(advisory.severity)))
        .collect();
    let retired = release
        .retired
        .and_then(|retired| retired.0)
        .map(|reason| format!("RETIRED_{}", reason.as_str().to_uppercase()));
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

#[test]
fn decisions_are_those_of_hex_under_the_policy_as_we_publish_it() {
    let Some(elixir) = find_client("elixir") else { return };
    let Some(ebin) = Mix::find().and_then(|mix| mix.hex()) else { return };
    if !ebin.join("Elixir.Hex.Policy.Filter.beam").is_file() {
        missing("mix", "its Hex is older than 2.5 and knows no policies");
        return;
    }
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

#[test]
fn rebar3_does_not_get_what_is_too_fresh_until_its_time_has_come() {
    let Some(rebar3) = find_client("rebar3") else { return };
    let dir = TempDir::with_prefix("hexkeep-clients-").unwrap();
    let registry = Registry::build(&rebar3, &dir.path().join("upstream"));
    let key = PrivateKey::from_pem(include_str!("../../src/trust/testdata/test-only-key.pem")).unwrap();
    let signer = Signer::new(&key).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    with_a_fresh_release(&registry, &signer, now - 2 * DAY);
    let upstream = StaticUpstream::serve(&registry.folder);
    let pem: String = key.public().to_spki_pem().lines().map(|line| format!("      {line}\n")).collect();
    let config = |key: &str, cooldown: &str, more: &str| {
        format!(
            "server: {{listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0}}\nstorage: {{path: ./store}}\n\
             policies: {{company: {{mode: enforce, repositories: {{{key}: {{cooldown: {cooldown}}}}}}}}}\n\
             repositories:\n  {key}:\n    type: remote\n    url: {}\n    public_key: |\n{pem}{more}",
            upstream.url()
        )
    };
    let alone = "    signature: own\n    policy: company\n";
    let united = "    name: hexpm\n  acme: {type: local}\n  hexpm: {type: virtual, members: [acme, upstream], policy: \
                  company, anonymous_read: true}\n";
    for (key, more, cooldown, expected) in [
        ("hexpm", alone, "3d", "2.4.0"),
        ("hexpm", alone, "1d", "99.0.0"),
        ("upstream", united, "3d", "2.4.0"),
        ("upstream", united, "1d", "99.0.0"),
    ] {
        let daemon = Daemon::start(&config(key, cooldown, more));
        let project = TempDir::with_prefix("hexkeep-rebar3-").unwrap();
        let deps = format!(
            "{{deps, [{{job_ledger, \">= 2.0.0\"}}]}}.\n\
             {{hex, [{{repos, [#{{name => <<\"hexpm\">>, repo_public_key => <<\"{}\">>}}]}}]}}.\n",
            daemon.public_key("hexpm")
        );
        std::fs::write(project.path().join("rebar.config"), deps).unwrap();
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        let client = Client::new(&rebar3, home.path())
            .env("REBAR_CACHE_DIR", home.path().join("cache"))
            .env("HEX_CDN", daemon.url())
            .dir(project.path());
        let said = client.args(["get-deps"]).succeed();
        assert!(said.contains(&format!("Fetching job_ledger v{expected}\n")), "{cooldown}:\n{said}");
        assert_eq!(said.contains("v99.0.0"), expected == "99.0.0", "{cooldown}:\n{said}");
    }
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
