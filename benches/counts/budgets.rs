//! What the cases may cost, and whether they do.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::callgrind::Counted;

/// How far a count may be from its budget, either way: what has become cheaper by more gets a smaller budget, so that it
/// does not become dearer again unseen.
const TOLERANCE: f64 = 0.03;

/// What one turn of a case may cost.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    instructions: u64,
    allocations: f64,
    /// Why it is as it is.
    reason: String,
}

/// The budgets by group and case.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Budgets(BTreeMap<String, BTreeMap<String, Budget>>);

impl Budgets {
    /// Reads the file; every budget has a reason.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let budgets: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for (group, cases) in &budgets.0 {
            if let Some(case) = cases.iter().find(|(_, budget)| budget.reason.trim().is_empty()) {
                return Err(format!("{group}.{} has no reason", case.0));
            }
        }
        Ok(budgets)
    }

    /// The groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Compares what was counted of a group with its budgets: a line for each case, and what is wrong.
    pub(crate) fn judge(&self, group: &str, counted: &[Counted]) -> (Vec<String>, Vec<String>) {
        let mut budgets = self.0.get(group).cloned().unwrap_or_default();
        let (mut lines, mut faults) = (Vec::new(), Vec::new());
        for one in counted {
            let case = one.name.split_once('.').map_or("", |(_, case)| case);
            let Some(budget) = budgets.remove(case) else {
                lines.push(line(one, None));
                faults.push(format!("{} has no budget", one.name));
                continue;
            };
            lines.push(line(one, Some(&budget)));
            for (what, count, budget) in [
                ("instructions", one.instructions, budget.instructions as f64),
                ("allocations", one.allocations, budget.allocations),
            ] {
                if (count - budget).abs() > budget * TOLERANCE {
                    let word = if count > budget { "more" } else { "fewer" };
                    faults.push(format!("{}: {count:.1} {what}, {word} than the budget of {budget}", one.name));
                }
            }
        }
        faults.extend(budgets.keys().map(|case| format!("{group}.{case} has a budget and is not counted")));
        (lines, faults)
    }
}

fn line(one: &Counted, budget: Option<&Budget>) -> String {
    let share = |count: f64, budget: f64| format!("{:+.2} %", (count / budget - 1.0) * 100.0);
    let (instructions, allocations) = budget.map_or_else(Default::default, |budget| {
        (share(one.instructions, budget.instructions as f64), share(one.allocations, budget.allocations))
    });
    format!("{:<32} {:>14.0} {instructions:>9} {:>12.2} {allocations:>9}", one.name, one.instructions, one.allocations)
}
