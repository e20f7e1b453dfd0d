//! Finds names that a `reserve` should keep for private members, but that other patterns exclude, so that a public
//! member can serve them. `check-config` reports them.

use super::settings::{CommonSettings, MemberSettings, NamePatterns, RepositorySettings, Settings, VirtualSettings};

/// Patterns that apply between a virtual repository and the `reserve` of a virtual repository in it.
#[derive(Clone)]
struct ReserveGate<'s> {
    /// Description of the patterns for a message.
    of: String,
    include: &'s NamePatterns,
    exclude: &'s NamePatterns,
}

impl ReserveGate<'_> {
    fn allows(&self, name: &str) -> bool {
        self.include.set.is_match(name) && !self.exclude.set.is_match(name)
    }
}

/// Adds a sentence to `found` for each `reserve` with names that a public member can serve.
pub(super) fn reserve_gaps(settings: &Settings, found: &mut Vec<String>) {
    for composed in settings.repositories.values().filter_map(RepositorySettings::as_virtual) {
        for member in &composed.members {
            descend(settings, composed, composed, member, Vec::new(), found);
        }
    }
}

fn descend<'s>(
    settings: &'s Settings,
    top: &VirtualSettings,
    holder: &VirtualSettings,
    member: &'s MemberSettings,
    mut gates: Vec<ReserveGate<'s>>,
    found: &mut Vec<String>,
) {
    let below = settings.repositories.get(&member.repository).and_then(RepositorySettings::as_virtual);
    let Some(below) = below else { return };
    let (key, above) = (&member.repository, &holder.common.key);
    let of = format!("the patterns of the member `{key}` in `{above}`");
    gates.push(ReserveGate { of, include: &member.include, exclude: &member.exclude });
    gates.push(ReserveGate {
        include: &below.common.include,
        exclude: &below.common.exclude,
        of: format!("the patterns of `{key}`"),
    });
    found.extend(gates.iter().filter_map(|gate| sentence(settings, top, below, &gates, gate)));
    for member in &below.members {
        descend(settings, top, below, member, gates.clone(), found);
    }
}

fn sentence(
    settings: &Settings,
    top: &VirtualSettings,
    below: &VirtualSettings,
    gates: &[ReserveGate<'_>],
    gate: &ReserveGate<'_>,
) -> Option<String> {
    let is_open =
        |common: &CommonSettings, name: &str| common.include.set.is_match(name) && !common.exclude.set.is_match(name);
    let public = |name: &str| {
        let mut public = top.members.iter().filter(|member| !member.private);
        public.find(|member| {
            let repository = settings.repositories.get(&member.repository);
            let answers = repository.is_some_and(|one| is_open(one.common(), name));
            member.repository != below.common.key
                && answers
                && member.include.set.is_match(name)
                && !member.exclude.set.is_match(name)
        })
    };
    let all = gates.iter().flat_map(|gate| gate.include.patterns.iter().chain(&gate.exclude.patterns));
    let (mut patterns, mut answering) = (Vec::new(), None);
    for (at, pattern) in below.reserve.patterns.iter().enumerate() {
        let names = samples(pattern, all.clone()).into_iter();
        let mut cut = names.filter(|name| {
            below.reserve.set.matches(name).contains(&at)
                && !gate.allows(name)
                && is_open(&top.common, name)
                && !top.reserve.set.is_match(name)
        });
        if let Some(member) = cut.find_map(|name| public(&name)) {
            answering.get_or_insert(&member.repository);
            patterns.push(format!("`{pattern}`"));
        }
    }
    let (of, reserve, key) = (&gate.of, &below.common.key, &top.common.key);
    let answering = answering?;
    Some(format!(
        "repositories.{key}.members: `reserve` of `{reserve}` contains {}, but {of} exclude some of these names, so that the \
         public member `{answering}` of `{key}` can serve them; change the patterns, or add these names to `reserve` of \
         `{key}`",
        patterns.join(", ")
    ))
}

/// Generates names that a pattern may match, including names that other patterns match, too: asterisks are replaced by
/// parts of all these patterns.
fn samples<'p>(pattern: &'p str, others: impl Iterator<Item = &'p String> + Clone) -> Vec<String> {
    let is_wild = |c: char| "*?[]{},!".contains(c);
    let mut pieces: Vec<String> = vec![String::new(), "x".to_owned()];
    let literal = |other: &String| other.split(is_wild).map(str::to_owned).collect::<Vec<_>>();
    pieces.extend(others.clone().flat_map(literal).filter(|piece| !piece.is_empty()));
    let fill = |text: &str, piece: &str| {
        let mut class = None;
        let mut name = String::new();
        for c in text.chars() {
            match (c, class) {
                ('*', None) => name.push_str(piece),
                ('?', None) => name.push_str(if piece.chars().count() == 1 { piece } else { "x" }),
                ('[', None) => class = Some(true),
                (']', Some(_)) => class = None,
                // The first character of a class.
                (first, Some(true)) if first != '!' => {
                    name.push(first);
                    class = Some(false);
                }
                (_, Some(_)) => {}
                (c, None) => name.push(c),
            }
        }
        name
    };
    let all = || [pattern].into_iter().chain(others.clone().map(String::as_str));
    all().flat_map(|text| pieces.iter().map(move |piece| fill(text, piece))).collect()
}
