//! Resampling and padding.

use vascx_graph::{Arg, Literal, Meta, Pad, PadMode, Resize, ResizeMode};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer};

impl<'m> Importer<'m> {
    pub(super) fn resize(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        // Before version 11 there are scales only, and pixels are placed asymmetrically.
        let early = self.opset < 11;
        let placed = if early { "asymmetric" } else { "half_pixel" };
        let placed = call.text("coordinate_transformation_mode", placed);
        let rounded = if early { "floor" } else { "round_prefer_floor" };
        let rounded = call.text("nearest_mode", rounded);
        let align_corners = placed == "align_corners";
        let cubic = call.float("cubic_coeff_a", -0.75) + 0.75;
        let mode = match (call.text("mode", "nearest"), placed) {
            ("nearest", "asymmetric") if rounded == "floor" => ResizeMode::Nearest,
            ("nearest", "half_pixel") if rounded == "round_prefer_ceil" => ResizeMode::NearestExact,
            ("linear", "half_pixel" | "pytorch_half_pixel" | "align_corners") => {
                ResizeMode::Bilinear
            }
            ("cubic", "half_pixel" | "pytorch_half_pixel" | "align_corners")
                if cubic.abs() < 1e-6 =>
            {
                ResizeMode::Bicubic
            }
            (mode, placed) => {
                return self.unsupported(call, &format!(" by `{mode}`, `{placed}`, `{rounded}`"));
            }
        };
        let stretched = call.text("keep_aspect_ratio_policy", "stretch") == "stretch";
        if call.int("antialias", 0) != 0 || call.ints("axes").is_some() || !stretched {
            return self.unsupported(call, " with antialiasing, an aspect or axes of its own");
        }
        let x = self.tensor(call.need(0)?)?;
        if self.builder.shape(x)?.len() != 4 {
            return self.unsupported(call, " of other than four axes");
        }
        let resize = Resize {
            mode,
            align_corners,
            factors: None,
            antialias: false,
        };
        let mut all = vec![Arg::Node(x)];
        if let Some(sizes) = call.get(3) {
            let sizes = self.numbers(sizes)?;
            let (outer, sizes) = sizes.split_at_checked(2).ok_or("lacks sizes")?;
            let shape = self.builder.shape(x)?;
            for (&size, &before) in outer.iter().zip(&shape) {
                // A size computed from the image's holds for every image if it holds for one.
                if self.builder.argument(size) != Meta::Number(Literal::Int(before as i64)) {
                    return self.unsupported(call, " of images or channels");
                }
            }
            all.extend(sizes);
            return self.emit(resize, all);
        }
        let scales = self.numbers(call.need(if early { 1 } else { 2 })?)?;
        let (outer, scales) = scales.split_at_checked(2).ok_or("lacks scales")?;
        for &scale in outer {
            if self.builder.pin(scale)?.as_f64().to_bits() != 1.0_f64.to_bits() {
                return self.unsupported(call, " of images or channels");
            }
        }
        if scales.len() != 2 {
            return Err("lacks scales".into());
        }
        let mut factors = [0.0; 2];
        for (axis, &scale) in scales.iter().enumerate() {
            factors[axis] = self.builder.pin(scale)?.as_f64();
        }
        let sides = lowering::scaled_sides(&mut self.builder, x.into(), factors)?;
        all.extend(sides);
        let factors = Some(factors);
        self.emit(Resize { factors, ..resize }, all)
    }

    pub(super) fn pad(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let mode = match call.text("mode", "constant") {
            "constant" => PadMode::Constant,
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Replicate,
            "wrap" => PadMode::Circular,
            other => return self.unsupported(call, &format!(" by `{other}`")),
        };
        if call.get(3).is_some() {
            return self.unsupported(call, " with axes of its own");
        }
        let x = self.tensor(call.need(0)?)?;
        let rank = self.builder.shape(x)?.len();
        let pads = match call.numbers("pads") {
            Some(pads) => pads,
            None => self.numbers(call.need(1)?)?,
        };
        if pads.len() != 2 * rank {
            return Err(format!("{} pads for {rank} axes", pads.len()));
        }
        let fill = match call.get(2) {
            Some(fill) => *self.numbers(fill)?.first().ok_or("an empty fill")?,
            None => Arg::float(call.float("value", 0.0)),
        };
        let nothing =
            |axis: &usize| pads[*axis] == Arg::int(0) && pads[rank + *axis] == Arg::int(0);
        let untouched = (0..rank).take_while(nothing).count();
        let mut all = vec![Arg::Node(x), fill];
        for axis in (untouched..rank).rev() {
            all.extend([pads[axis], pads[rank + axis]]);
        }
        self.emit(Pad(mode), all)
    }
}
