//! Photographs through models into a folder: decoded ahead, computed in chunks, written behind.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use rayon::prelude::*;

use super::folder::{Folder, Made, Request};
use super::record::{Record, Status};
use super::stages::Stages;
use super::{Outcome, Summary, summarise};
use crate::budget::{Budget, Need, Share};
use crate::control::{Cancel, Warnings};
use crate::ensemble::{Answer, Computed, Pace, Plan, Stream, Together};
use crate::error::{Error, Result, alone, panic_message};
use crate::inputs::Input;
use crate::output::Unpublished;
use crate::source::{About, Source};

/// What a job makes of the answers of its models.
pub(super) trait Products: Sync {
    /// Makes the files of one photograph, in the order of its layout, and completes its record. The
    /// answer goes to whoever watches the job.
    ///
    /// # Errors
    /// When the photograph has failed, or no file can be written any more.
    fn make(
        &self,
        id: &str,
        computed: Computed,
        record: &mut Record,
    ) -> Result<(Vec<Unpublished>, Option<Answer>)>;

    /// Writes the tables, of all records in their order.
    ///
    /// # Errors
    /// When one cannot be written.
    fn write_tables(&self, records: &[Record]) -> Result<()>;

    /// Writes `run.json`; before the job there is no summary.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write_run(&self, summary: Option<&Summary>) -> Result<()>;
}

/// A job that is about to run.
pub(super) struct Pipeline<'j> {
    pub(super) request: Request<'j>,
    pub(super) plan: &'j Plan,
    /// What a photograph takes while it is under way.
    pub(super) need: Need,
    /// Bytes for photographs under way; see [`super::Job::memory`].
    pub(super) memory: Option<u64>,
    pub(super) cancel: &'j Cancel,
    pub(super) warnings: &'j Warnings,
}

/// What travels with a photograph through the pipeline.
struct Ticket<'a> {
    input: &'a Input,
    record: Record,
    /// Its part of the memory; none of one that never fits.
    share: Option<Share<'a>>,
}

/// What goes with a photograph until its files are published.
struct Rest<'a> {
    input: &'a Input,
    answer: Option<Answer>,
    _share: Option<Share<'a>>,
}

/// Chunks of at most so many inputs as there is memory for. To begin a chunk waits for memory; to
/// fill it does not, for the chunk itself may have it.
fn in_chunks<'a>(
    inputs: impl Iterator<Item = &'a Input>,
    chunk_size: usize,
    budget: &'a Budget,
    need: Need,
) -> impl Iterator<Item = Together<'a, Ticket<'a>>> {
    let mut inputs = inputs.fuse().peekable();
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        while chunk.len() < chunk_size
            && let Some(&input) = inputs.peek()
        {
            let (bytes, size) = need.of(&input.path);
            let mut source = Ok(Source::Path(Cow::Borrowed(&*input.path)));
            let share = match budget.try_take(bytes) {
                Some(share) => Some(share),
                None if bytes > budget.total() => {
                    source = Err(budget.refusal(&input.path, bytes, size));
                    None
                }
                None if chunk.is_empty() => budget.take(bytes),
                None => break,
            };
            inputs.next();
            let record = Record::begin(input);
            let ticket = Ticket {
                input,
                record,
                share,
            };
            chunk.push((ticket, source));
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

impl Pipeline<'_> {
    /// Runs the job. `each` sees every outcome in input order.
    ///
    /// # Errors
    /// When there are no inputs, the folder may not be used, or ([`Error::Stopped`]) the job ended
    /// before its time.
    pub(super) fn run(
        self,
        products: &impl Products,
        mut each: impl FnMut(Outcome) + Send,
    ) -> Result<Summary> {
        let Self {
            request,
            plan,
            need,
            memory,
            cancel,
            warnings,
        } = self;
        let inputs = request.inputs;
        if inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        let clock = Instant::now();
        let (folder, kept) = Folder::open(request, &mut |warning| warnings.warn(warning))?;
        products.write_run(None)?;
        let todo = kept.tell(inputs, &mut each);

        let chunk_size = plan.batch_size;
        let (finished, answers) = sync_channel(chunk_size);
        let (order, mut stream) = Stream::new(plan.workers(), warnings.clone());
        let budget = Budget::new(memory);
        let mut records = Vec::new();
        let mut stages = Stages::default();
        let written = (&mut records, &mut stages);
        let (ended, pace, folder) = thread::scope(|scope| {
            let inputs = todo.into_iter().take_while(|_| !cancel.is_cancelled());
            let chunks = in_chunks(inputs, chunk_size, &budget, need);
            plan.start(scope, chunks, order);
            let writer = scope.spawn(move || {
                let mut folder = folder;
                let (records, stages) = written;
                let mut writer = Writer {
                    products,
                    folder: &mut folder,
                    records,
                    stages,
                };
                let ended = writer.write_behind(chunk_size, &answers, each);
                (ended, folder)
            });
            let streamed = catch_unwind(AssertUnwindSafe(|| {
                for computed in stream.by_ref() {
                    // The writer stops early only when it cannot write; its error is returned below.
                    if finished.send(computed).is_err() {
                        break;
                    }
                }
            }));
            drop(finished);
            let pace = stream.pace();
            // What was not asked for yet is not computed any more.
            drop(stream);
            let (ended, folder) = writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let streamed = streamed.map_err(|panic| {
                Error::Device(format!("computing failed: {}", panic_message(&*panic)))
            });
            (ended.and(streamed), pace, folder)
        });
        let per_photograph = pace.per_input();
        let Pace {
            first_chunk,
            networks,
            ..
        } = pace;
        stages.computing = networks;
        stages.total = clock.elapsed();
        let summary = Summary {
            first_chunk,
            per_photograph,
            stages,
            ..Summary::default()
        };
        let (summary, ordered) = summarise(inputs, kept, records, summary);
        // Also when the job could not go on, as far as possible.
        let finished = products
            .write_tables(&ordered)
            .and_then(|()| products.write_run(Some(&summary)));
        drop(folder);
        summary.unless_stopped(ended.and(finished))
    }
}

/// Where results go.
struct Writer<'w, P> {
    products: &'w P,
    folder: &'w mut Folder,
    records: &'w mut Vec<Record>,
    stages: &'w mut Stages,
}

impl<P: Products> Writer<'_, P> {
    /// Makes files of answers and writes them, several at a time; adds their records in input order.
    fn write_behind<'a>(
        &mut self,
        at_once: usize,
        answers: &Receiver<(Ticket<'a>, Result<Computed<'a>>)>,
        mut each: impl FnMut(Outcome),
    ) -> Result<()> {
        while let Ok(first) = answers.recv() {
            let waiting = answers.try_iter().take(at_once - 1);
            let chunk: Vec<_> = std::iter::once(first).chain(waiting).collect();
            for (_, computed) in &chunk {
                if let Ok(Computed { about, .. }) = computed {
                    self.stages.photographs += 1;
                    self.stages.reading += about.reading;
                    self.stages.preparing += about.preparing;
                }
            }
            let begun = Instant::now();
            let products = self.products;
            let mut made = chunk
                .into_par_iter()
                .map(|(ticket, computed)| make(products, ticket, computed))
                .collect::<Result<Vec<_>>>()?;
            let ready = Instant::now();
            self.stages.finishing += ready - begun;
            let published = self.folder.publish(&mut made);
            self.stages.writing += ready.elapsed();
            published?;
            for Made { record, more, .. } in made {
                let answer = more.answer.as_ref();
                let answer = answer.filter(|_| record.status == Status::Done);
                each(Outcome::of(more.input, &record, answer));
                self.records.push(record);
            }
        }
        Ok(())
    }
}

fn make<'a>(
    products: &impl Products,
    ticket: Ticket<'a>,
    computed: Result<Computed<'a>>,
) -> Result<Made<Rest<'a>>> {
    let Ticket {
        input,
        mut record,
        share,
    } = ticket;
    let started = Instant::now();
    let mut make = |computed: Computed| {
        let About {
            reading, preparing, ..
        } = computed.about;
        let before = reading + preparing + computed.computing;
        let made = products.make(&input.id, computed, &mut record)?;
        record.seconds = Some((before + started.elapsed()).as_secs_f64());
        Ok(made)
    };
    let made = computed.and_then(|computed| alone(&input.path, || make(computed)));
    let (files, answer) = match made {
        Ok(made) => made,
        // Told of photographs and tensors alike, it names none.
        Err(error @ Error::NotFinite(_)) => {
            record.fail(format!("{}: {error}", input.path.display()));
            (Vec::new(), None)
        }
        Err(error) if error.concerns_one_file() => {
            record.fail(error.to_string());
            (Vec::new(), None)
        }
        Err(error) => return Err(error),
    };
    let more = Rest {
        input,
        answer,
        _share: share,
    };
    Ok(Made {
        record,
        files,
        more,
    })
}
