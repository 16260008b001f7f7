//! Our own set of biomarkers: corrected definitions, units in the names, and the numbers of what
//! a value rests on.

mod catalogue;

use crate::analysis::Analysis;
use crate::measure::Measurement;
use crate::reason::Reason;
use crate::sets::Variable;

/// The columns of the set.
pub(crate) fn variables() -> Vec<Variable> {
    let mut columns = Columns {
        analysis: None,
        variables: Vec::new(),
        values: Vec::new(),
    };
    columns.all();
    columns.variables
}

/// The values of the set, in the order of its columns.
pub(crate) fn measure(analysis: &Analysis) -> Vec<Measurement> {
    let mut columns = Columns {
        analysis: Some(analysis),
        variables: Vec::new(),
        values: Vec::new(),
    };
    columns.all();
    columns.values
}

/// A value, and on how many items it rests.
/// Suffix, unit, and the factor that brings pixels there.
type Scale = (&'static str, &'static str, Value);
type Value = fn(&Analysis) -> Result<f64, Reason>;

type Counted = Result<(f64, usize), Reason>;

/// Lists columns, and measures them if there is something to measure.
struct Columns<'a> {
    analysis: Option<&'a Analysis<'a>>,
    variables: Vec<Variable>,
    values: Vec<Measurement>,
}

impl Columns<'_> {
    /// A length in pixels, in µm where a scale is given, and in disc-fovea distances.
    fn length(
        &mut self,
        name: &str,
        title: &str,
        text: &str,
        pictured: bool,
        value: impl Fn(&Analysis) -> Result<f64, Reason>,
    ) {
        let value = self.analysis.map(value);
        let value = value.map(|value| (value, None));
        self.in_units(name, title, text, pictured, value, 1);
    }

    fn counted_length(
        &mut self,
        name: &str,
        title: &str,
        text: &str,
        value: impl Fn(&Analysis) -> Counted,
    ) {
        let value = self.analysis.map(value).map(|value| {
            let count = value.as_ref().ok().map(|(_, count)| *count);
            (value.map(|(value, _)| value), count)
        });
        let count = value
            .as_ref()
            .map(|(value, count)| value.clone().map(|_| count.unwrap_or(0) as f64));
        self.in_units(name, title, text, true, value, 1);
        self.push(
            &format!("{name}_n"),
            &format!("{title} (number)"),
            format!("{text}: number of segments."),
            "",
            false,
            count.map(Measurement::new),
        );
    }

    fn area(
        &mut self,
        name: &str,
        title: &str,
        text: &str,
        value: impl Fn(&Analysis) -> Result<f64, Reason>,
    ) {
        let value = self.analysis.map(value);
        self.in_units(name, title, text, true, value.map(|value| (value, None)), 2);
    }

    fn in_units(
        &mut self,
        name: &str,
        title: &str,
        text: &str,
        pictured: bool,
        value: Option<(Result<f64, Reason>, Option<usize>)>,
        power: i32,
    ) {
        let suffix = if power == 2 { "2" } else { "" };
        let scales: [Scale; 3] = [
            ("px", if power == 2 { "px²" } else { "px" }, |_| Ok(1.0)),
            ("um", if power == 2 { "µm²" } else { "µm" }, |a| {
                Ok(1000.0 * a.eye.mm_per_pixel.ok_or(Reason::NoScale)?)
            }),
            ("per_d", "", |a| {
                Ok(1.0 / a.landmarks()?.fovea.clone()?.distance)
            }),
        ];
        for (token, unit, scale) in scales {
            let words = match token {
                "px" => "in pixels of the crop",
                "um" => "in µm, where a scale is given",
                _ => "in disc-fovea distances",
            };
            let square = if power == 2 { ", squared" } else { "" };
            let measurement = self
                .analysis
                .zip(value.as_ref())
                .map(|(a, (value, count))| {
                    let scaled = value
                        .clone()
                        .and_then(|value| Ok(value * scale(a)?.powi(power)));
                    Measurement {
                        count: *count,
                        ..Measurement::new(scaled)
                    }
                });
            self.push(
                &format!("{name}_{token}{suffix}"),
                &format!("{title} ({token}{suffix})"),
                format!("{text}, {words}{square}."),
                unit,
                pictured && token == "px",
                measurement,
            );
        }
    }

    fn number(
        &mut self,
        name: &str,
        title: &str,
        text: String,
        unit: &'static str,
        value: impl Fn(&Analysis) -> Result<f64, Reason>,
    ) {
        let value = self.analysis.map(|a| Measurement::new(value(a)));
        self.push(name, title, text, unit, false, value);
    }

    /// A number and, in a column of its own, how many items it rests on.
    fn counted(
        &mut self,
        name: &str,
        title: &str,
        text: String,
        unit: &'static str,
        value: impl Fn(&Analysis) -> Counted,
    ) {
        let value = self.analysis.map(value);
        let count = value.clone();
        let count = count.map(|value| Measurement::new(value.map(|(_, count)| count as f64)));
        let items = format!("Number of items behind {name}.");
        let (count_name, count_title) = (format!("{name}_n"), format!("{title} (number)"));
        self.push(&count_name, &count_title, items, "", false, count);
        let value = value.map(Measurement::counted);
        self.push(name, title, text, unit, true, value);
    }

    fn push(
        &mut self,
        name: &str,
        title: &str,
        description: String,
        unit: &'static str,
        pictured: bool,
        value: Option<Measurement>,
    ) {
        self.variables.push(Variable {
            name: name.to_owned(),
            display_name: title.to_owned(),
            description,
            unit,
            pictured,
        });
        self.values.extend(value);
    }
}
