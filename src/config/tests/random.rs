//! Whatever is written, reading it ends with settings or problems, never with a panic.

use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../../config/hexkeep.yaml");

/// The sample with comments taken out: what a mutation hits should matter.
fn bare() -> String {
    SAMPLE.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn end(text: &str, variables: &[(&str, &str)]) {
    if let Err(error) = load_with(text, variables) {
        assert!(!error.problems.is_empty());
        assert_eq!(error.to_string().lines().count(), error.problems.len(), "{error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_ends(text in "(?s).{0,200}") {
        end(&text, &[]);
    }

    #[test]
    fn arbitrary_keys_and_values_end(key in "[a-z_]{1,12}|server|repositories|hexpm", value in "(?s).{0,40}") {
        end(&format!("{key}: {{{value}}}\n"), &[]);
        end(&format!("repositories: {{hexpm: {{{key}: {value}}}}}\n"), &[]);
    }

    #[test]
    fn arbitrary_mutations_of_the_sample_end(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, "(?s).{0,3}|[-:,\\[\\]{}\"'#&*! \n]{1,3}"), 1..6),
    ) {
        let mut text: Vec<char> = bare().chars().collect();
        for (at, remove, insert) in edits {
            let at = at.index(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        end(&text.into_iter().collect::<String>(), &[]);
    }

    #[test]
    fn lines_that_move_end(from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let text = bare();
        let mut lines: Vec<&str> = text.lines().collect();
        let line = lines.remove(from.index(lines.len()));
        lines.insert(to.index(lines.len()), line);
        end(&lines.join("\n"), &[]);
    }

    #[test]
    fn arbitrary_overrides_end(name in "(SERVER|LOG|REPOSITORIES|X)(__[A-Z_]{0,8}){1,3}", value in "(?s).{0,30}") {
        end("{}", &[(&format!("HEXKEEP_{name}"), &value)]);
    }
}
