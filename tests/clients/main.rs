//! Real clients against the daemon: rebar3, mix with Hex, the reference library that rebar3 carries, the `hexpm` crate.
//!
//! The upstream they all end at is a folder that the reference library signed (`escript/build_registry.escript`): our own
//! code has no part in it. Each client runs in its own home, with a time-out, and sees nothing but the daemon.
//!
//! The table in [`trials`] says what each test needs. Where a need is missing, its tests are ignored, each with the reason, and
//! the last line counts them; `HEXKEEP_TEST_REQUIRE_CLIENTS=rebar3,mix` makes a missing one of that list a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "test code: it may panic, and its files need not survive a crash"
)]

mod differential;
mod installs;
mod judges;
mod mirrored_api;
mod mix;
mod mix_publish;
mod needs;
mod policy;
mod publish;
mod rebar3;
mod recipes;
mod support;
#[path = "../it/support/tarballs.rs"]
mod tarballs;
mod terms;
mod virtuals;

use std::process::ExitCode;

use libtest_mimic::{Arguments, FormatSetting, Trial};
use needs::Need::{Elixir, Hex, HexPolicies, Mix, Originals, Rebar3, Tools};

/// Each line is a test and what it needs.
macro_rules! trials {
    ($($test:path: $($need:ident)+;)+) => {
        vec![$(needs::trial(stringify!($test), &[$($need),+], $test)),+]
    };
}

fn trials() -> Vec<Trial> {
    trials! {
        differential::terms_go_to_erlang_and_back: Rebar3;
        differential::tarballs_are_what_the_reference_library_says: Rebar3;
        differential::licences_that_we_read_are_those_that_the_reference_library_reads: Rebar3;
        installs::mix_installs_hex_and_rebar3_with_the_upstream_and_without_it: Mix Rebar3;
        judges::the_reference_library_accepts_what_passes_through: Rebar3;
        judges::the_reference_library_accepts_what_we_sign: Rebar3;
        judges::the_hexpm_crate_accepts_what_passes_through: Rebar3;
        judges::the_hexpm_crate_accepts_what_we_sign: Rebar3;
        mirrored_api::the_reference_library_looks_packages_up: Rebar3;
        mirrored_api::mix_looks_packages_up: Rebar3 Hex;
        mix::mix_gets_a_phoenix_1_5_tree_with_the_upstreams_signatures: Rebar3 Hex Originals;
        mix::mix_gets_a_phoenix_1_5_tree_with_our_signatures: Rebar3 Hex Originals;
        mix::mix_gets_a_phoenix_1_7_tree_with_the_upstreams_signatures: Rebar3 Hex Originals;
        mix::mix_gets_a_phoenix_1_7_tree_with_our_signatures: Rebar3 Hex Originals;
        mix::mix_builds_from_a_lock_file_after_a_prefetch_and_after_a_bundle_was_imported: Rebar3 Hex Originals;
        mix_publish::mix_publishes_with_a_key: Hex;
        mix_publish::mix_publishes_to_the_default_repository: Hex;
        mix_publish::mix_logs_in_at_the_page: Hex;
        mix_publish::mix_changes_owners: Hex;
        mix_publish::mix_publishes_for_an_organization: Hex;
        mix_publish::mix_publishes_as_on_hex_pm: Hex;
        mix_publish::mix_adds_a_repository_with_its_key: Hex;
        policy::requirements_match_as_elixir_says: Elixir;
        policy::decisions_are_those_of_hex_under_the_policy_as_we_publish_it: Elixir HexPolicies;
        policy::rebar3_does_not_get_what_is_too_fresh_until_its_time_has_come: Rebar3;
        policy::rebar3_gets_what_is_waived_and_what_is_pinned_until_it_is_denied: Rebar3;
        policy::mix_shows_and_applies_the_policy_that_is_published: Rebar3 HexPolicies;
        policy::mix_says_why_a_download_is_refused: Rebar3 HexPolicies;
        publish::the_reference_library_publishes_and_rebar3_builds_with_it: Rebar3;
        recipes::rebar3_follows_the_recipe_of_a_mirror: Rebar3;
        recipes::rebar3_follows_the_recipe_of_a_private_repository: Rebar3;
        recipes::mix_follows_the_recipe_of_a_mirror: Rebar3 Hex Tools;
        recipes::mix_follows_the_recipe_of_an_organization: Hex Tools;
        recipes::mix_follows_the_recipe_of_a_repository_of_its_own: Hex Tools;
        rebar3::rebar3_builds_with_the_upstreams_signatures: Rebar3;
        rebar3::rebar3_builds_with_our_signatures: Rebar3;
        rebar3::rebar3_builds_from_a_lock_file_after_a_prefetch: Rebar3;
        rebar3::rebar3_builds_from_a_lock_file_after_a_bundle_was_imported: Rebar3;
        terms::erlang_and_we_mean_the_same: Rebar3;
        virtuals::judges::outside_judges_and_we_read_the_same_in_what_is_merged: Rebar3;
        virtuals::mix::mix_builds_private_and_public_packages_from_one_address: Rebar3 Hex;
        virtuals::rebar3::rebar3_builds_private_and_public_packages_from_one_address: Rebar3;
        virtuals::rebar3::rebar3_verifies_with_an_old_key_at_its_address: Rebar3;
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, trials());
    if !arguments.list && !matches!(arguments.format, Some(FormatSetting::Json)) {
        println!("{}", needs::skipped());
    }
    conclusion.exit_code()
}
