//! The base score of a CVSS 3 vector, and the word for it. Imports nothing of ours but the wire's severities.
//!
//! Formulas: CVSS v3.1 specification, sections 7.1 and 7.4, <https://www.first.org/cvss/v3.1/specification-document>.
//! Vectors of other versions have no score here, and what has none counts as more severe than any.

use crate::hex::message::Severity;

/// The base score of a vector `CVSS:3.0/…` or `CVSS:3.1/…`; `None` where it is none.
pub(super) fn score(vector: &str) -> Option<f32> {
    let rest = vector.strip_prefix("CVSS:3.1/").or_else(|| vector.strip_prefix("CVSS:3.0/"))?;
    let metric =
        |name: &str| rest.split('/').find_map(|pair| pair.split_once(':').filter(|(key, _)| *key == name)?.1.into());
    let metric = |name: &str| -> Option<&str> { metric(name) };
    let changed = match metric("S")? {
        "C" => true,
        "U" => false,
        _ => return None,
    };
    let of = |name: &str, values: &[(&str, f64)]| {
        let word = metric(name)?;
        values.iter().find(|(value, _)| *value == word).map(|(_, weight)| *weight)
    };
    let vector = of("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?;
    let complexity = of("AC", &[("L", 0.77), ("H", 0.44)])?;
    let (low, high) = if changed { (0.68, 0.5) } else { (0.62, 0.27) };
    let privileges = of("PR", &[("N", 0.85), ("L", low), ("H", high)])?;
    let interaction = of("UI", &[("N", 0.85), ("R", 0.62)])?;
    let impact = |name: &str| of(name, &[("H", 0.56), ("L", 0.22), ("N", 0.0)]);
    let base = 1.0 - (1.0 - impact("C")?) * (1.0 - impact("I")?) * (1.0 - impact("A")?);
    let impact = match changed {
        true => 7.52 * (base - 0.029) - 3.25 * (base - 0.02).powi(15),
        false => 6.42 * base,
    };
    if impact <= 0.0 {
        return Some(0.0);
    }
    let exploitability = 8.22 * vector * complexity * privileges * interaction;
    let sum = if changed { 1.08 * (impact + exploitability) } else { impact + exploitability };
    Some(round_up(sum.min(10.0)))
}

/// To the next tenth, as the specification writes it down for machines.
fn round_up(number: f64) -> f32 {
    let scaled = (number * 100_000.0).round();
    let tenths = if scaled % 10_000.0 == 0.0 { scaled / 10_000.0 } else { (scaled / 10_000.0).floor() + 1.0 };
    #[expect(clippy::cast_possible_truncation, reason = "it lies between 0 and 10, and the wire has 32 bits")]
    let score = (tenths / 10.0) as f32;
    score
}

/// The word for a score (section 5).
pub(super) fn severity(score: f32) -> Severity {
    match score {
        score if score < 0.1 => Severity::None,
        score if score < 4.0 => Severity::Low,
        score if score < 7.0 => Severity::Medium,
        score if score < 9.0 => Severity::High,
        _ => Severity::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_the_specification() {
        for (vector, expected) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Some(9.8)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", Some(10.0)),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", Some(7.5)),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", Some(6.4)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Some(6.1)),
            ("CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", Some(1.8)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Some(0.0)),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", None),
            ("CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", None),
            ("CVSS:3.1/AV:N", None),
            ("", None),
        ] {
            assert_eq!(score(vector), expected, "{vector}");
        }
        assert_eq!(
            [0.0, 3.9, 4.0, 6.9, 7.0, 9.0].map(severity),
            [Severity::None, Severity::Low, Severity::Medium, Severity::Medium, Severity::High, Severity::Critical]
        );
    }
}
