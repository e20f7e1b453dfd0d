//! As much of a URI as a link of a package needs. May import nothing of ours.

/// Whether `text` is an http or https URL with a host.
pub(super) fn is_web(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_web && !host.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}
