//! What a trial needs on this machine. Each need is looked for once, when the first trial that has it starts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Completion, Failed, Trial};

use crate::support::{Mix, on_path, originals};

/// A program of a client, or data that is not part of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// rebar3, and Erlang's `escript`, which runs it.
    Rebar3,
    Elixir,
    /// mix, with or without Hex.
    Mix,
    /// mix with Hex.
    Hex,
    /// mix with a Hex that knows policies: 2.5 or newer.
    HexPolicies,
    /// The programs that recipes use beside the client: curl and ssh-keygen.
    Tools,
    /// The original tarballs of the test data.
    Originals,
}

impl Need {
    /// The word for it in `HEXKEEP_TEST_REQUIRE_CLIENTS`.
    fn word(self) -> &'static str {
        match self {
            Self::Rebar3 => "rebar3",
            Self::Elixir => "elixir",
            Self::Mix | Self::Hex | Self::HexPolicies => "mix",
            Self::Tools => "tools",
            Self::Originals => "testdata",
        }
    }

    /// Why it cannot be used here; `None` where it can.
    fn fault(self) -> Option<&'static str> {
        let missing = |programs: &[&str]| programs.iter().any(|program| on_path(program).is_none());
        match self {
            Self::Rebar3 => missing(&["rebar3", "escript"]).then_some("rebar3 or escript is not on PATH"),
            Self::Elixir => missing(&["elixir"]).then_some("elixir is not on PATH"),
            Self::Mix => missing(&["mix"]).then_some("mix is not on PATH"),
            Self::Hex => Mix::find().err(),
            Self::HexPolicies => match Mix::find() {
                Err(fault) => Some(fault),
                Ok(mix) if mix.hex().is_some_and(|ebin| knows_policies(&ebin)) => None,
                Ok(_) => Some("the Hex of mix is older than 2.5"),
            },
            Self::Tools => missing(&["curl", "ssh-keygen"]).then_some("curl or ssh-keygen is not on PATH"),
            Self::Originals => originals().is_none().then_some("the original tarballs of the test data are not here"),
        }
    }

    fn is_required(self) -> bool {
        let required = std::env::var("HEXKEEP_TEST_REQUIRE_CLIENTS").unwrap_or_default();
        required.split(',').any(|word| word.trim() == self.word())
    }
}

fn knows_policies(ebin: &Path) -> bool {
    ["Elixir.Mix.Tasks.Hex.Policy.beam", "Elixir.Hex.Policy.Filter.beam"].iter().all(|beam| ebin.join(beam).is_file())
}

/// How many trials were skipped, by reason.
static SKIPPED: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

/// The test `run`. It is skipped where a need is missing, and fails where that need is required.
pub(crate) fn trial(name: &str, needs: &'static [Need], run: fn()) -> Trial {
    Trial::ignorable_test(name, move || {
        static FAULTS: Mutex<BTreeMap<Need, Option<&str>>> = Mutex::new(BTreeMap::new());
        for need in needs {
            let found =
                *FAULTS.lock().unwrap_or_else(PoisonError::into_inner).entry(*need).or_insert_with(|| need.fault());
            let Some(fault) = found else { continue };
            if need.is_required() {
                return Err(Failed::from(format!("HEXKEEP_TEST_REQUIRE_CLIENTS asks for {}: {fault}", need.word())));
            }
            *SKIPPED.lock().unwrap().entry(fault).or_default() += 1;
            return Ok(Completion::ignored_with(fault));
        }
        run();
        Ok(Completion::Completed)
    })
}

/// One line: how many trials were skipped, and why.
pub(crate) fn skipped() -> String {
    let skipped = SKIPPED.lock().unwrap();
    let mut line = format!("skipped: {} tests of clients", skipped.values().sum::<u32>());
    for (at, (fault, count)) in skipped.iter().enumerate() {
        let sign = if at == 0 { " (" } else { "; " };
        write!(line, "{sign}{count}: {fault}").unwrap();
    }
    if !skipped.is_empty() {
        line.push(')');
    }
    line
}
