//! Cards: everything about a square, shown when it is pressed. Browsers do that without a script.

use crate::output::count;

use super::{
    super::{Measured, Outcome, Side},
    Numbered, escape,
};

/// What a square's button calls its card.
pub(super) fn id(number: usize) -> String {
    format!("cell-{number}")
}

/// The card of a cell.
pub(super) fn card((number, cell): Numbered) -> String {
    let id = id(number);
    let told = match &cell.outcome {
        Outcome::Passed { measured: Some(measured) } => figures(measured),
        Outcome::Passed { measured: None } => "<p>✓ passed</p>\n".to_string(),
        Outcome::Failed { step, error } => {
            format!("<p class=\"wrong\">✗ {}</p>\n", escape(&format!("{step}: {error}")))
        }
        Outcome::NotApplicable { reason } => format!("<p>– {}</p>\n", escape(reason)),
    };
    format!(
        "<div popover class=\"card\" id=\"{id}\" role=\"dialog\" aria-labelledby=\"{id}-name\">\n<h3 id=\"{id}-name\">{}</h3>\n{told}<button type=\"button\" popovertarget=\"{id}\" popovertargetaction=\"hide\">Close</button>\n</div>\n",
        escape(&cell.name())
    )
}

fn figures(m: &Measured) -> String {
    let side = |who: &str, side: &Side| {
        let (ping, up, down) = (side.ping_ms, side.upload_mbits, side.download_mbits);
        format!("<tr><th scope=\"row\">{who}</th><td>{ping:.2}</td><td>{up:.0}</td><td>{down:.0}</td></tr>\n")
    };
    let trips = count(m.round_trips, "round trip", "round trips");
    format!(
        "<p>Handshake: {:.2} ms, {trips}</p>\n<table>\n<thead><tr><td></td><th scope=\"col\">Ping ms</th><th scope=\"col\">Up Mbit/s</th><th scope=\"col\">Down Mbit/s</th></tr></thead>\n<tbody>\n{}{}</tbody></table>\n",
        m.handshake_ms,
        side("Dialer", &m.dialer),
        side("Listener", &m.listener)
    )
}
