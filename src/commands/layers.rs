//! `vascx bench --layers`: every layer's time against what the machine can do at most.

use serde::Serialize;
use vascx::graph::{Layer, Peak};

/// A layer of a forward pass, or several alike.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    kernel: &'static str,
    /// Sizes of the result.
    shape: Vec<usize>,
    /// Products per value of the result.
    depth: usize,
    /// How many there are.
    layers: usize,
    /// Of all of them, the median over passes.
    seconds: f64,
    /// What their arithmetic takes at the machine's peak.
    arithmetic_floor: f64,
    /// What moving their bytes takes at the speed of copying memory.
    memory_floor: f64,
}

impl Row {
    fn floor(&self) -> f64 {
        self.arithmetic_floor.max(self.memory_floor)
    }
}

/// One row per kind of layer, in the order in which they first run. Every pass has the same layers.
pub(super) fn rows(passes: &[Vec<Layer>], peak: &Peak) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (index, layer) in passes[0].iter().enumerate() {
        let times: Vec<f64> = passes.iter().map(|pass| pass[index].seconds).collect();
        // Winograd's algorithm for tiles of 4 × 4 needs 36 products where the sum has 144.
        let saved = if layer.kernel == "winograd" { 4.0 } else { 1.0 };
        let row = Row {
            kernel: layer.kernel,
            shape: layer.shape.clone(),
            depth: layer.depth,
            layers: 1,
            seconds: super::bench::median(&times),
            arithmetic_floor: layer.operations() as f64 / saved / peak.operations_per_second,
            memory_floor: layer.bytes as f64 / peak.bytes_per_second,
        };
        let alike = |other: &&mut Row| {
            (other.kernel, &other.shape, other.depth) == (row.kernel, &row.shape, row.depth)
        };
        match rows.iter_mut().find(alike) {
            Some(other) => {
                other.layers += 1;
                other.seconds += row.seconds;
                other.arithmetic_floor += row.arithmetic_floor;
                other.memory_floor += row.memory_floor;
            }
            None => rows.push(row),
        }
    }
    rows
}

/// A table in Markdown.
pub(super) fn print(rows: &[Row], peak: &Peak, seconds: f64) -> super::Result<()> {
    super::print(format_args!(
        "\nPeak: {:.0} GFLOP/s, {:.1} GB/s. Milliseconds of all layers of a kind:\n",
        peak.operations_per_second / 1e9,
        peak.bytes_per_second / 1e9
    ))?;
    super::print(format_args!(
        "| kernel | result | products per value | layers | floor: arithmetic | floor: memory | measured | times the floor |"
    ))?;
    super::print(format_args!("|---|---|---|---|---|---|---|---|"))?;
    for row in rows {
        let shape: Vec<String> = row.shape.iter().map(ToString::to_string).collect();
        super::print(format_args!(
            "| {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.1} |",
            row.kernel,
            shape.join(" × "),
            row.depth,
            row.layers,
            1e3 * row.arithmetic_floor,
            1e3 * row.memory_floor,
            1e3 * row.seconds,
            row.seconds / row.floor()
        ))?;
    }
    let (floor, measured) = rows.iter().fold((0.0, 0.0), |(floor, measured), row| {
        (floor + row.floor(), measured + row.seconds)
    });
    super::print(format_args!(
        "| all of them | | | | | {:.2} (the larger of the two) | {:.2} | {:.1} |",
        1e3 * floor,
        1e3 * measured,
        measured / floor
    ))?;
    super::print(format_args!(
        "| everything else | | | | | | {:.2} | |",
        1e3 * (seconds - measured)
    ))
}
