//! Telling the user how a run goes: a progress bar on a terminal, plain lines otherwise.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use vascx::inference::{LeftOut, Outcome, Status, Summary};

use crate::commands::print_result;
use crate::terminal::{self, Kind, escaped, says_objects, tell, tell_with};

pub(crate) struct Reporter {
    photographs: usize,
    resumed: AtomicUsize,
    quiet: bool,
    /// Whether every photograph has a line.
    lines: bool,
}

impl Reporter {
    pub(crate) fn new(photographs: usize, quiet: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !says_objects();
        if !quiet && on_terminal {
            terminal::begin_bar(photographs);
        }
        Self {
            photographs,
            resumed: AtomicUsize::new(0),
            quiet,
            lines: !quiet && !on_terminal,
        }
    }

    #[allow(clippy::unused_self)] // Told by whoever reports.
    pub(crate) fn note(&self, note: &str) {
        tell(Kind::Note, note);
    }

    /// What folders hold beside photographs.
    pub(crate) fn left_out(&self, left_out: &LeftOut) {
        if !left_out.is_empty() && !self.quiet {
            self.note(&left_out.to_string());
        }
    }

    /// Announces the model that the following outcomes belong to.
    pub(crate) fn heading(&self, name: &str) {
        if !self.quiet {
            tell(Kind::Info, name);
        }
    }

    /// Failures and warnings are always told; failures also stand in the manifest. What an earlier
    /// run has done is only counted.
    pub(crate) fn outcome(&self, outcome: &Outcome) {
        if outcome.resumed {
            self.resumed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let resumed = self.resumed.swap(0, Ordering::Relaxed);
        if resumed > 0 && !self.quiet && !self.lines {
            terminal::resumed(resumed, self.photographs);
        }
        let id = &outcome.input.id;
        let of = || json!({ "id": id });
        let failed = matches!(outcome.status, Status::Failed(_));
        match outcome.status {
            Status::Failed(reason) => tell_with(Kind::Failed, reason, of()),
            Status::Done if self.lines => tell_with(Kind::Done, id, of()),
            Status::Done => {}
        }
        if let Some(warning) = outcome.warning {
            tell_with(Kind::Warning, format_args!("{id}: {warning}"), of());
        }
        terminal::advance(failed);
    }

    /// The same for an eye that was measured.
    pub(crate) fn eye(&self, outcome: &vascx::pipeline::Outcome) {
        let id = outcome.id;
        let of = || json!({ "id": id });
        match outcome.failure {
            Some(reason) => tell_with(Kind::Failed, format_args!("{id}: {reason}"), of()),
            None if self.lines => tell_with(Kind::Done, id, of()),
            None => {}
        }
        for warning in outcome.warnings {
            tell_with(Kind::Warning, format_args!("{id}: {warning}"), of());
        }
        terminal::advance(outcome.failure.is_some());
    }

    /// `first_apart`: whether the first chunk's time says nothing about the others'.
    pub(crate) fn finish(&self, summary: Summary, out: &Path, first_apart: bool) {
        let Summary {
            succeeded,
            failed,
            resumed,
            left,
            first_chunk,
            per_photograph,
        } = summary;
        terminal::end_bar();
        if says_objects() {
            let members = json!({
                "done": succeeded, "failed": failed, "resumed": resumed, "left": left,
                "out": out.to_string_lossy(),
            });
            tell_with(
                Kind::Finished,
                format_args!("{succeeded} done, {failed} failed"),
                members,
            );
        }
        terminal::flush();
        if self.quiet {
            return;
        }
        let resumed = match resumed {
            0 => String::new(),
            _ => format!(", {resumed} of them by an earlier run"),
        };
        let left = match left {
            0 => String::new(),
            _ => format!(", {left} not begun (--resume goes on)"),
        };
        let pace = match (first_chunk.filter(|_| first_apart), per_photograph) {
            (Some(first), Some(each)) => format!(
                "; {:.1} s for the first chunk, kernels compiled and tuned, then {:.3} s per photograph",
                first.as_secs_f64(),
                each.as_secs_f64()
            ),
            (Some(first), None) => format!(
                "; {:.1} s for the first chunk, kernels compiled and tuned",
                first.as_secs_f64()
            ),
            (None, _) => String::new(),
        };
        let out = escaped(&out.to_string_lossy());
        print_result(format_args!(
            "{succeeded} done, {failed} failed{resumed}{left}{pace}; results in {out}"
        ));
    }
}
