//! One ensemble for many requests at a time: `cargo run --release --example server`.
//!
//! Requests come from tasks of tokio; those that wait while the device computes make up its next
//! batch. What a web framework would hand over are the bytes of uploaded files.

use std::error::Error;

use tokio::sync::{mpsc, oneshot};
use vascx::convert::Model;
use vascx::inference::{Classification, ClassificationEnsemble, Device, Result};

/// Requests that are computed together at most.
const BATCH: usize = 8;

struct Request {
    file: Vec<u8>,
    answer: oneshot::Sender<Result<Classification>>,
}

/// Answers requests until nobody can send any more; to be run where threads may block.
fn serve(ensemble: &ClassificationEnsemble, mut requests: mpsc::Receiver<Request>) -> Result<()> {
    while let Some(first) = requests.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(request) = requests.try_recv()
        {
            batch.push(request);
        }
        let (files, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|request| (request.file, request.answer))
            .unzip();
        for (answer, result) in answers.into_iter().zip(ensemble.predict(files)?) {
            // Whoever asked may have gone.
            let _ = answer.send(result);
        }
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let model = Model::open("weights/demo/quality.pt")?;
    let ensemble = ClassificationEnsemble::load(&model, Device::Cpu)?;
    let file = std::fs::read("examples/images/macula_centred_right.png")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let (sender, requests) = mpsc::channel(BATCH);
    let server = runtime.spawn_blocking(move || serve(&ensemble, requests));
    let clients = (0..20).map(|index| {
        let (sender, file) = (sender.clone(), file.clone());
        runtime.spawn(async move {
            let (answer, result) = oneshot::channel();
            // The server has gone only when it failed; its error is told at the end.
            let _ = sender.send(Request { file, answer }).await;
            match result.await {
                Ok(Ok(quality)) => println!("{index}: {:?}", quality.probabilities),
                Ok(Err(error)) => println!("{index}: {error}"),
                Err(_) => println!("{index}: no answer"),
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    drop(sender);
    runtime.block_on(async {
        for client in clients {
            client.await?;
        }
        server.await??;
        Ok(())
    })
}
