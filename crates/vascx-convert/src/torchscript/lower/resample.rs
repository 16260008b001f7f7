//! Resampling and padding.

use vascx_graph::{Arg, Pad, PadMode, Resize, ResizeMode};

use super::Arguments;
use super::operands::one_or_more;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn upsample(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let antialias = name.ends_with("_aa");
        let (mode, aligned) = match name.trim_end_matches("_aa").trim_start_matches('_') {
            "upsample_nearest2d" => (ResizeMode::Nearest, false),
            "upsample_nearest_exact2d" => (ResizeMode::NearestExact, false),
            "upsample_bilinear2d" => (ResizeMode::Bilinear, true),
            _ => (ResizeMode::Bicubic, true),
        };
        let align_corners = aligned && self.flag(a.get(2, "align_corners"), false)?;
        let first = if aligned { 3 } else { 2 };
        let mut factors = Vec::new();
        let height = a.get(first, "scale_factors").or(a.get(first, "scales_h"));
        for given in [height, a.get(first + 1, "scales_w")].into_iter().flatten() {
            for item in one_or_more(&given)? {
                factors.push(self.number(&item)?);
            }
        }
        let factors: Option<[f64; 2]> = factors.try_into().ok();
        let mut all = vec![x];
        if let Some(sizes) = a.get(1, "output_size") {
            all.extend(self.list(&sizes)?);
        } else {
            let factors = factors.ok_or("has neither size nor factors")?;
            all.extend(lowering::scaled_sides(&mut self.builder, x, factors)?);
        }
        let resize = Resize {
            mode,
            align_corners,
            factors,
            antialias,
        };
        self.emit(resize, all)
    }

    pub(super) fn pad(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let pads = self.list(&a.need(1, "pad")?)?;
        let (mode, fill) = match name {
            "reflection_pad2d" => (PadMode::Reflect, None),
            "replication_pad2d" => (PadMode::Replicate, None),
            "constant_pad_nd" => (PadMode::Constant, a.get(2, "value")),
            _ => {
                let mode = match a.get(2, "mode") {
                    Some(Value::Text(mode)) => match &*mode {
                        "constant" => PadMode::Constant,
                        "reflect" => PadMode::Reflect,
                        "replicate" => PadMode::Replicate,
                        "circular" => PadMode::Circular,
                        other => return Ok(self.unsupported(&format!("padding by {other}"))),
                    },
                    _ => PadMode::Constant,
                };
                (mode, a.get(3, "value"))
            }
        };
        let fill = self.argument_or(fill, Arg::int(0))?;
        self.emit(Pad(mode), [x, fill].into_iter().chain(pads).collect())
    }
}
