//! Computes the score and the severity of CVSS vectors of version 3 and 4.
//!
//! An advisory without a score (a vector of version 2, or an invalid one) has an unknown severity, which counts as the
//! most severe.

use cvss::Cvss;

use crate::hex::message::Severity;

/// The score of a vector `CVSS:3.0/…`, `CVSS:3.1/…` or `CVSS:4.0/…`, from all its metrics; `None` if the vector is
/// invalid or has another version.
pub(super) fn score(vector: &str) -> Option<f32> {
    let vector = vector.parse::<Cvss>().ok()?;
    // In version 3, the library treats a missing metric as harmless. Such vectors are rejected.
    if let Cvss::CvssV30(base) | Cvss::CvssV31(base) = &vector {
        let complete = base.av.is_some() && base.ac.is_some() && base.pr.is_some() && base.ui.is_some();
        (complete && base.s.is_some() && base.c.is_some() && base.i.is_some() && base.a.is_some()).then_some(())?;
    }
    let score = vector.score();
    #[expect(clippy::cast_possible_truncation, reason = "it lies between 0 and 10, and the wire has 32 bits")]
    let score = score as f32;
    (0.0..=10.0).contains(&score).then_some(score)
}

/// The severity of a score (CVSS v3.1, section 5; v4.0, section 6).
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
    use proptest::prelude::*;

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
            // Examples of the FIRST calculator for version 4.
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Some(9.3)),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", Some(10.0)),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N", Some(8.7)),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N/E:U", Some(6.6)),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", Some(0.0)),
            ("CVSS:4.0/AV:N/AC:L", None),
            ("CVSS:5.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", None),
            ("AV:N/AC:L/Au:N/C:P/I:P/A:P", None),
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

    const METRICS: [&str; 33] = [
        "AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA", "E", "CR", "IR", "AR", "MAV", "MAC", "MAT",
        "MPR", "MUI", "MVC", "MVI", "MVA", "MSC", "MSI", "MSA", "S", "AU", "R", "V", "RE", "U", "C",
    ];
    const VALUES: [&str; 16] = ["N", "L", "H", "P", "A", "X", "S", "U", "R", "C", "F", "Y", "D", "M", "Red", "Clear"];

    proptest! {
        /// Every vector has a score between 0 and 10, or none.
        #[test]
        fn any_vector(
            base in proptest::collection::vec(0..4_usize, 11),
            more in proptest::collection::vec((0..METRICS.len(), 0..VALUES.len()), 0..8),
            version in prop_oneof![Just("4.0"), Just("3.1"), Just("3.0")],
        ) {
            let mut vector = format!("CVSS:{version}");
            for (metric, value) in METRICS.iter().zip(&base) {
                vector.push_str(&format!("/{metric}:{}", VALUES[*value]));
            }
            for (metric, value) in more {
                vector.push_str(&format!("/{}:{}", METRICS[metric], VALUES[value]));
            }
            prop_assert!(score(&vector).is_none_or(|score| (0.0..=10.0).contains(&score)), "{vector}");
        }
    }
}
