//! Resampling and padding.

use vascx_graph::{Pad, PadMode, Resize, ResizeMode};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "upsample_nearest2d"
        | "upsample_bilinear2d"
        | "upsample_bicubic2d"
        | "_upsample_nearest_exact2d"
        | "_upsample_bilinear2d_aa"
        | "_upsample_bicubic2d_aa" => evaluator.upsample(name, a),
        "pad" | "constant_pad_nd" | "reflection_pad2d" | "replication_pad2d" => {
            evaluator.pad(name, a)
        }
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn upsample(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
        for value in [
            a.get(first, "scale_factors").or(a.get(first, "scales_h")),
            a.get(first + 1, "scales_w"),
        ]
        .into_iter()
        .flatten()
        {
            match &value {
                Value::List(_) => {
                    for item in items(&value)? {
                        factors.push(self.number(&item)?);
                    }
                }
                value => factors.push(self.number(value)?),
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

    fn pad(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let pads = self.list(&a.need(1, "pad")?)?;
        let (mode, fill) = match name {
            "reflection_pad2d" => ("reflect".into(), None),
            "replication_pad2d" => ("replicate".into(), None),
            "constant_pad_nd" => ("constant".into(), a.get(2, "value")),
            _ => match a.get(2, "mode") {
                Some(Value::Text(mode)) => (mode.to_string(), a.get(3, "value")),
                _ => ("constant".to_owned(), a.get(3, "value")),
            },
        };
        let mode = match mode.as_str() {
            "constant" => PadMode::Constant,
            "reflect" => PadMode::Reflect,
            "replicate" => PadMode::Replicate,
            "circular" => PadMode::Circular,
            other => return Ok(self.unsupported(&format!("padding by {other}"))),
        };
        let fill = fill.unwrap_or(Value::int(0));
        let fill = self.argument(&fill)?;
        self.emit(Pad(mode), [x, fill].into_iter().chain(pads).collect())
    }
}
