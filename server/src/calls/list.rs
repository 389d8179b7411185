//! Lists of calls: filters and pages.

use std::sync::Arc;

use super::call::{Call, CallState, UnixMs};

/// Calls of a page unless the request says otherwise.
pub(crate) const DEFAULT_PAGE: usize = 100;
/// Calls of a page at most.
pub(crate) const MAX_PAGE: usize = 1_000;

/// Which calls to list; a field left out lets every call pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) state: Option<CallState>,
    pub(crate) tenant: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) scenario: Option<String>,
    /// Node that carries one of the parties, or is to.
    pub(crate) node: Option<String>,
}

impl Filter {
    fn passes(&self, call: &Call) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        let on = |node: &String| call.parties.values().any(|party| party.node == *node);
        self.state.is_none_or(|state| call.state() == state)
            && is(&self.tenant, &call.details.tenant)
            && is(&self.language, &call.details.language)
            && is(&self.scenario, &call.details.scenario)
            && self.node.as_ref().is_none_or(on)
    }
}

/// Place of a call in the list, oldest first: where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    created_at_ms: UnixMs,
    id: String,
}

impl Cursor {
    fn of(call: &Call) -> Self {
        Self {
            created_at_ms: call.created_at_ms,
            id: call.id.clone(),
        }
    }

    /// As it stands in addresses.
    pub(crate) fn write(&self) -> String {
        format!("{}-{}", self.created_at_ms, self.id)
    }

    /// Reads what [`Self::write`] wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (created_at_ms, id) = text.split_once('-')?;
        Some(Self {
            created_at_ms: created_at_ms.parse().ok()?,
            id: id.to_owned(),
        })
    }
}

/// A page of `calls`, oldest first, and where the next one begins.
pub(crate) fn page<'a>(
    calls: impl Iterator<Item = &'a Arc<Call>>,
    filter: &Filter,
    after: Option<&Cursor>,
    limit: usize,
) -> (Vec<Arc<Call>>, Option<Cursor>) {
    let mut found: Vec<(Cursor, &Arc<Call>)> = calls
        .filter(|call| filter.passes(call))
        .map(|call| (Cursor::of(call), call))
        .filter(|(cursor, _)| after.is_none_or(|after| cursor > after))
        .collect();
    let limit = limit.clamp(1, MAX_PAGE);
    let more = found.len() > limit;
    if more {
        found.select_nth_unstable_by(limit, |a, b| a.0.cmp(&b.0));
        found.truncate(limit);
    }
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let next = found.last().map(|(cursor, _)| cursor.clone());
    let page = found.into_iter().map(|(_, call)| call.clone()).collect();
    (page, next.filter(|_| more))
}

#[cfg(test)]
mod tests {
    use super::super::samples::call;
    use super::*;

    fn calls() -> Vec<Arc<Call>> {
        let mut calls: Vec<Call> = (0..7)
            .map(|n| call(&format!("CL-{n}"), 7 - n / 2))
            .collect();
        calls[3].details.tenant = "acme".to_owned();
        calls.into_iter().map(Arc::new).collect()
    }

    fn ids(page: &[Arc<Call>]) -> Vec<&str> {
        page.iter().map(|call| call.id.as_str()).collect()
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let calls = calls();
        let mut cursor = None;
        let mut seen = Vec::new();
        loop {
            let (part, next) = page(calls.iter(), &Filter::default(), cursor.as_ref(), 3);
            seen.extend(ids(&part).into_iter().map(str::to_owned));
            let Some(next) = next else { break };
            cursor = Cursor::read(&next.write());
        }
        let expected = ["CL-6", "CL-4", "CL-5", "CL-2", "CL-3", "CL-0", "CL-1"];
        assert_eq!(seen, expected);
    }

    #[test]
    fn filters_leave_what_matches_all_of_them() {
        let calls = calls();
        let acme = Filter {
            tenant: Some("acme".to_owned()),
            state: Some(CallState::Created),
            ..Filter::default()
        };
        assert_eq!(ids(&page(calls.iter(), &acme, None, 10).0), ["CL-3"]);
        let ended = Filter {
            state: Some(CallState::Ended),
            ..acme
        };
        assert!(page(calls.iter(), &ended, None, 10).0.is_empty());
    }

    #[test]
    fn a_cursor_of_somebody_else_is_none() {
        assert_eq!(Cursor::read("yesterday-CL_a"), None);
        assert_eq!(Cursor::read(""), None);
    }
}
