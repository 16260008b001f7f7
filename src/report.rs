//! Telling the user how a run goes: a progress bar on a terminal, plain lines otherwise.

use std::io::IsTerminal;
use std::path::Path;

use serde_json::json;
use vascx::inference::{LeftOut, Outcome, Status, Summary};
use vascx::pipeline::Loaded;

use crate::commands::{SUBFOLDERS, print_result};
use crate::terminal::{self, Kind, escaped, says_objects, tell, tell_with};

pub(crate) struct Reporter {
    quiet: bool,
    /// Whether every photograph has a line.
    lines: bool,
    /// Whether the line says how long it took, and those of an earlier run have one.
    verbose: bool,
}

impl Reporter {
    pub(crate) fn new(photographs: usize, quiet: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !says_objects();
        if !quiet && on_terminal {
            terminal::begin_bar(photographs);
        }
        Self {
            quiet,
            lines: !quiet && !on_terminal,
            verbose: false,
        }
    }

    /// Every photograph has a line of its own, beside a progress bar, too.
    pub(crate) fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self.lines |= verbose;
        self
    }

    #[allow(clippy::unused_self)] // Told by whoever reports.
    pub(crate) fn note(&self, note: &str) {
        tell(Kind::Note, note);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Steps without a model, and what is to be known of the models.
    pub(crate) fn models(&self, loaded: &Loaded) {
        for (role, reason) in &loaded.missing {
            self.note(&format!("{role} is left out: {reason}"));
        }
        for note in &loaded.notes {
            self.note(note);
        }
    }

    /// What folders hold beside photographs.
    pub(crate) fn left_out(&self, left_out: &LeftOut) {
        if !left_out.is_empty() && !self.quiet {
            self.note(&left_out.to_string());
            if left_out.folders > 0 {
                tell(Kind::Hint, SUBFOLDERS);
            }
        }
    }

    /// Failures and warnings are always told; failures also stand in the manifest. What an earlier
    /// run has done is only counted.
    pub(crate) fn outcome(&self, outcome: &Outcome) {
        let id = &outcome.input.id;
        if outcome.resumed {
            terminal::resumed();
            if self.verbose {
                let members = json!({ "id": id, "resumed": true });
                tell_with(
                    Kind::Done,
                    format_args!("{id} (by an earlier run)"),
                    members,
                );
            }
            return;
        }
        let of = || json!({ "id": id });
        let failed = matches!(outcome.status, Status::Failed(_));
        match outcome.status {
            Status::Failed(reason) => tell_with(Kind::Failed, reason, of()),
            Status::Done if self.lines => {
                let members = json!({ "id": id, "seconds": outcome.seconds });
                match outcome.seconds.filter(|_| self.verbose) {
                    Some(seconds) => {
                        tell_with(Kind::Done, format_args!("{id} ({seconds:.2} s)"), members);
                    }
                    None => tell_with(Kind::Done, id, members),
                }
            }
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
    pub(crate) fn finish(&self, summary: &Summary, out: &Path, first_apart: bool) {
        let Summary {
            succeeded,
            failed,
            resumed,
            left,
            first_chunk,
            per_photograph,
            ..
        } = *summary;
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

    /// Throughput, and which share of the work each stage of a job of these models was.
    pub(crate) fn stages(&self, summary: &Summary, models: Vec<&str>) {
        let stages = &summary.stages;
        let named = stages.named(&models);
        let work: f64 = named.iter().map(|(_, time)| time.as_secs_f64()).sum();
        if self.quiet || stages.photographs == 0 || work <= 0.0 {
            return;
        }
        let share = |(name, time): (&str, std::time::Duration)| {
            format!("{name} {:.0} %", 100.0 * time.as_secs_f64() / work)
        };
        let shares: Vec<String> = named.into_iter().map(share).collect();
        print_result(format_args!(
            "{:.2} photographs a second; {}",
            stages.photographs as f64 / stages.total.as_secs_f64(),
            shares.join(", ")
        ));
    }
}
