//! Where the time of a job goes.

use std::time::Duration;

use serde_json::{Value, json};

/// Time per stage of a job. Stages run side by side, and each is the sum over its photographs, so that
/// together they may be more than the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stages {
    /// From the beginning of the job to its end.
    pub total: Duration,
    /// Photographs that were computed.
    pub photographs: usize,
    /// Reading and decoding files.
    pub reading: Duration,
    /// Finding the field of view, cropping, contrast.
    pub preparing: Duration,
    /// On the device, model by model.
    pub computing: Vec<Duration>,
    /// Bringing answers to their final form and encoding files.
    pub finishing: Duration,
    /// Writing files and the journal.
    pub writing: Duration,
}

impl Stages {
    /// All stages with their names, for models of these names.
    pub fn named<'n>(&self, models: &[&'n str]) -> Vec<(&'n str, Duration)> {
        let mut stages = vec![("reading", self.reading), ("preparing", self.preparing)];
        stages.extend(models.iter().copied().zip(self.computing.iter().copied()));
        stages.extend([("finishing", self.finishing), ("writing", self.writing)]);
        stages
    }

    /// Seconds by stage, for `run.json`.
    pub(super) fn to_json(&self, models: &[&str]) -> Value {
        let named = self.named(models).into_iter();
        let mut seconds: serde_json::Map<String, Value> = named
            .map(|(name, time)| (name.to_owned(), json!(time.as_secs_f64())))
            .collect();
        seconds.insert("total".into(), json!(self.total.as_secs_f64()));
        seconds.into()
    }
}
