//! Telling the user how a run goes: a progress bar on a terminal, plain lines otherwise.

use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vascx::inference::{Outcome, Summary};

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

    /// Announces the model that the following outcomes belong to.
    pub(crate) fn heading(&self, name: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{name}"));
        }
    }

    /// Failures are always told; they also stand in the manifest.
    pub(crate) fn outcome(&self, outcome: &Outcome) {
        match outcome.result {
            Err(error) => self.bar.suspend(|| eprintln!("failed: {error}")),
            Ok(_) if self.bar.is_hidden() && !self.quiet => {
                eprintln!("done: {}", outcome.input.id);
            }
            Ok(_) => {}
        }
        self.bar.inc(1);
    }

    pub(crate) fn finish(&self, summary: Summary, out: &Path) {
        self.bar.finish_and_clear();
        if !self.quiet {
            let Summary { succeeded, failed } = summary;
            println!(
                "{succeeded} done, {failed} failed; results in {}",
                out.display()
            );
        }
    }
}
