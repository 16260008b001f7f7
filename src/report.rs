//! Telling the user how a run goes: a progress bar on a terminal, plain lines otherwise.

use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vascx::inference::{LeftOut, Outcome, Status, Summary};

use crate::commands::{Failure, print};

pub(crate) struct Reporter {
    bar: ProgressBar,
    quiet: bool,
}

impl Reporter {
    pub(crate) fn new(photographs: usize, quiet: bool) -> Self {
        // `stderr` draws nothing when it is no terminal.
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(photographs as u64), target);
        let template = "{bar:30} {pos}/{len} photographs, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, quiet }
    }

    pub(crate) fn note(&self, note: &str) {
        self.bar.suspend(|| eprintln!("note: {note}"));
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
            self.bar.suspend(|| eprintln!("{name}"));
        }
    }

    /// Something the user should know although the work goes on.
    pub(crate) fn warn(&self, warning: &str) {
        self.bar.suspend(|| eprintln!("warning: {warning}"));
    }

    /// Failures and warnings are always told; failures also stand in the manifest.
    pub(crate) fn outcome(&self, outcome: &Outcome) {
        let id = &outcome.input.id;
        match outcome.status {
            Status::Failed(reason) => self.bar.suspend(|| eprintln!("failed: {reason}")),
            Status::Done if self.bar.is_hidden() && !self.quiet => eprintln!("done: {id}"),
            Status::Done => {}
        }
        if let Some(warning) = outcome.warning {
            self.warn(&format!("{id}: {warning}"));
        }
        self.bar.inc(1);
    }

    /// `first_apart`: whether the first chunk's time says nothing about the others'.
    pub(crate) fn finish(
        &self,
        summary: Summary,
        out: &Path,
        first_apart: bool,
    ) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        if self.quiet {
            return Ok(());
        }
        let Summary {
            succeeded,
            failed,
            resumed,
            left,
            first_chunk,
            per_photograph,
        } = summary;
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
        let out = out.display();
        print(format_args!(
            "{succeeded} done, {failed} failed{resumed}{left}{pace}; results in {out}"
        ))
    }
}
