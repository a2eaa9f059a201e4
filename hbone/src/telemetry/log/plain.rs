//! Lines for people: `time, level, scope, message, k=v ...`, separated by tabs.

use std::fmt::{self, Write};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::escape::{self, Escaped};

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// RFC 3339 in UTC, microseconds.
pub(super) fn now() -> String {
    OffsetDateTime::now_utc().format(TIME).unwrap_or_default()
}

pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        write!(writer, "{}\t{}\t{}", now(), level(*meta.level()), meta.target())?;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            write!(writer, ":{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{{{fields}}}")?;
            }
        }
        let mut visitor = Columns::default();
        event.record(&mut visitor);
        write!(writer, "\t{}", visitor.message)?;
        if !visitor.fields.is_empty() {
            write!(writer, "\t{}", visitor.fields)?;
        }
        writeln!(writer)
    }
}

pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Columns::default();
        fields.record(&mut visitor);
        writer.write_str(&visitor.fields)
    }
}

#[derive(Default)]
struct Columns {
    message: String,
    fields: String,
}

// Writing into a String cannot fail, so the results are not looked at.
impl Columns {
    fn name(&mut self, field: &Field) {
        if !self.fields.is_empty() {
            self.fields.push(' ');
        }
        self.fields.push_str(field.name());
        self.fields.push('=');
    }
}

impl Visit for Columns {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(Escaped::plain(&mut self.message), "{value:?}");
            return;
        }
        self.name(field);
        let _ = escape::value(&mut self.fields, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            let _ = Escaped::plain(&mut self.message).write_str(value);
            return;
        }
        self.name(field);
        let _ = escape::string(&mut self.fields, value);
    }
}
