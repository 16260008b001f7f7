//! Photographs as the ensembles see them, as PNG files: `cargo run --release --example decode OUT FILE…`.
//!
//! Prints a line per file: name, width, height and seconds, or why it is refused.

use std::path::{Path, PathBuf};
use std::time::Instant;

use vascx::inference::Photograph;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or("usage: decode OUT FILE…")?;
    std::fs::create_dir_all(&out)?;
    for file in arguments {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let started = Instant::now();
        match Photograph::open(&file) {
            Ok(photograph) => {
                let seconds = started.elapsed().as_secs_f64();
                let (width, height) = (photograph.width(), photograph.height());
                println!("{name}\t{width}\t{height}\t{seconds:.6}");
                photograph
                    .rgb()
                    .save(out.join(Path::new(&name).with_added_extension("png")))?;
            }
            Err(error) => println!("{name}\t{error}"),
        }
    }
    Ok(())
}
