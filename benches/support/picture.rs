//! A picture of the times: one bar for each contender, plain and over TLS.

use std::fmt::Write as _;

const LABEL_WIDTH: f64 = 285.0;
const BAR_WIDTH: f64 = 360.0;
const BAR_HEIGHT: f64 = 14.0;
const GROUP_HEIGHT: f64 = 42.0;
const PLAIN: &str = "#7aa6c2";
const TLS: &str = "#2f5d8a";

/// An SVG with microseconds a send: what was measured, plain, over TLS.
pub fn bars(times: &[(String, f64, Option<f64>)]) -> String {
    let longest = times.iter().flat_map(|(_, plain, tls)| [Some(*plain), *tls]).flatten().fold(1.0, f64::max);
    let (width, height) = (LABEL_WIDTH + BAR_WIDTH + 70.0, 64.0 + GROUP_HEIGHT * times.len() as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Microseconds a send on a kept connection</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\">Microseconds a send on a kept connection, loopback, one processor</text>\n"
    );
    for (at, (color, word)) in [(PLAIN, "plain"), (TLS, "TLS 1.3")].into_iter().enumerate() {
        let x = LABEL_WIDTH + 80.0 * at as f64;
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{color}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"45\">{word}</text>", x + 18.0);
    }
    for (at, (title, plain, tls)) in times.iter().enumerate() {
        let top = 58.0 + GROUP_HEIGHT * at as f64;
        let weight = if title.starts_with("hookmyapp") { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(svg, "<text x=\"10\" y=\"{}\"{weight}>{title}</text>", top + 19.0);
        for (line, (value, color)) in [(Some(*plain), PLAIN), (*tls, TLS)].into_iter().enumerate() {
            let Some(value) = value else { continue };
            let (y, length) = (top + (BAR_HEIGHT + 1.0) * line as f64, BAR_WIDTH * value / longest);
            let _ = writeln!(
                svg,
                "<rect x=\"{LABEL_WIDTH}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{color}\"/>\n\
                 <text x=\"{:.1}\" y=\"{}\" font-size=\"11\">{value:.1}</text>",
                LABEL_WIDTH + length + 5.0,
                y + 11.5
            );
        }
    }
    svg + "</svg>\n"
}
