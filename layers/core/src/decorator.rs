//! Pipes over pipes: what a decorator leaves as it is passes through.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{Buffer, Datagrams, Pipe, Priority};

/// Where a decorator keeps the pipe that it is over. [`pipe_decorator!`](crate::pipe_decorator) implements it.
pub trait OverPipe: Send + Unpin + 'static {
    /// The pipe below.
    type Inner: Pipe;

    /// The pipe below.
    fn inner(&self) -> &Self::Inner;

    /// The pipe below.
    fn inner_mut(&mut self) -> &mut Self::Inner;
}

/// A pipe over another pipe. It writes down the methods that it changes; every other one passes through, so that none can
/// be forgotten. The methods are those of [`AsyncRead`], [`AsyncBufRead`], [`AsyncWrite`] and [`Pipe`], which
/// [`pipe_decorator!`](crate::pipe_decorator) implements by them.
///
/// Bytes are read in three ways: `poll_read`, `poll_fill_buf` with `consume`, and `poll_take`. A decorator that counts,
/// limits or changes what is read changes all three.
///
/// It is for what leaves bytes as they are. A layer that turns bytes into others, such as a security channel, implements
/// [`Pipe`] by hand: what it doesn't know must not pass it by.
pub trait PipeDecorator: OverPipe {
    /// See [`AsyncRead::poll_read`].
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner_mut()).poll_read(cx, out)
    }

    /// See [`AsyncBufRead::poll_fill_buf`].
    #[inline]
    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(self.inner_mut()).poll_fill_buf(cx)
    }

    /// See [`AsyncBufRead::consume`].
    #[inline]
    fn consume(&mut self, n: usize) {
        Pin::new(self.inner_mut()).consume(n);
    }

    /// See [`AsyncWrite::poll_write`].
    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.inner_mut()).poll_write(cx, data)
    }

    /// See [`AsyncWrite::poll_write_vectored`].
    #[inline]
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(self.inner_mut()).poll_write_vectored(cx, slices)
    }

    /// See [`AsyncWrite::is_write_vectored`].
    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.inner().is_write_vectored()
    }

    /// See [`AsyncWrite::poll_flush`].
    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner_mut()).poll_flush(cx)
    }

    /// See [`AsyncWrite::poll_shutdown`].
    #[inline]
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner_mut()).poll_shutdown(cx)
    }

    /// See [`Pipe::reset`].
    #[inline]
    fn reset(&mut self, code: u32) {
        self.inner_mut().reset(code);
    }

    /// See [`Pipe::close_read`].
    #[inline]
    fn close_read(&mut self) {
        self.inner_mut().close_read();
    }

    /// See [`Pipe::poll_take`].
    #[inline]
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.inner_mut().poll_take(most, cx)
    }

    /// See [`Pipe::set_priority`].
    #[inline]
    fn set_priority(&mut self, priority: Priority) {
        self.inner_mut().set_priority(priority);
    }

    /// See [`Pipe::set_rate`].
    #[inline]
    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.inner_mut().set_rate(bytes_per_second);
    }

    /// See [`Pipe::datagrams`].
    #[inline]
    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        self.inner_mut().datagrams()
    }
}

/// Makes a [`Pipe`] of a [`PipeDecorator`], given the field with the pipe below.
///
/// ```
/// use stackwire_core::{BoxPipe, Pipe, PipeDecorator, pipe_decorator};
///
/// /// Nobody resets this one.
/// struct Lasting<P> {
///     inner: P,
/// }
///
/// pipe_decorator!(impl[P: Pipe] Lasting<P> { inner: P });
///
/// impl<P: Pipe> PipeDecorator for Lasting<P> {
///     fn reset(&mut self, _: u32) {}
/// }
///
/// fn lasting(pipe: BoxPipe) -> BoxPipe {
///     Box::new(Lasting { inner: pipe })
/// }
/// ```
///
/// Without `impl[…]` where the type has no parameters; `{ 0: BoxPipe }` for a tuple.
#[macro_export]
macro_rules! pipe_decorator {
    (impl[$($generics:tt)*] $type:ty { $field:tt: $inner:ty }) => {
        impl<$($generics)*> $crate::OverPipe for $type {
            type Inner = $inner;

            #[inline]
            fn inner(&self) -> &$inner {
                &self.$field
            }

            #[inline]
            fn inner_mut(&mut self) -> &mut $inner {
                &mut self.$field
            }
        }

        $crate::pipe_decorator!(impl[$($generics)*] $type);
    };
    // For a type that implements `OverPipe` itself. The lint finds a method that was added to one of the traits and not
    // here; CI runs it.
    (impl[$($generics:tt)*] $type:ty) => {
        #[deny(clippy::missing_trait_methods)]
        const _: () = {
            use ::std::{io::{IoSlice, Result}, option::Option, pin::Pin, sync::Arc, task::{Context, Poll}};
            use $crate::{__io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf}, PipeDecorator as Over};

            impl<$($generics)*> AsyncRead for $type {
                #[inline]
                fn poll_read(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    out: &mut ReadBuf<'_>,
                ) -> Poll<Result<()>> {
                    Over::poll_read(self.get_mut(), cx, out)
                }
            }

            impl<$($generics)*> AsyncBufRead for $type {
                #[inline]
                fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
                    Over::poll_fill_buf(self.get_mut(), cx)
                }
                #[inline]
                fn consume(self: Pin<&mut Self>, n: usize) {
                    Over::consume(self.get_mut(), n);
                }
            }

            impl<$($generics)*> AsyncWrite for $type {
                #[inline]
                fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
                    Over::poll_write(self.get_mut(), cx, data)
                }
                #[inline]
                fn poll_write_vectored(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    slices: &[IoSlice<'_>],
                ) -> Poll<Result<usize>> {
                    Over::poll_write_vectored(self.get_mut(), cx, slices)
                }
                #[inline]
                fn is_write_vectored(&self) -> bool {
                    Over::is_write_vectored(self)
                }
                #[inline]
                fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                    Over::poll_flush(self.get_mut(), cx)
                }
                #[inline]
                fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                    Over::poll_shutdown(self.get_mut(), cx)
                }
            }

            impl<$($generics)*> $crate::Pipe for $type {
                #[inline]
                fn reset(&mut self, code: u32) {
                    Over::reset(self, code);
                }
                #[inline]
                fn close_read(&mut self) {
                    Over::close_read(self);
                }
                #[inline]
                fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<Option<$crate::Buffer>>> {
                    Over::poll_take(self, most, cx)
                }
                #[inline]
                fn set_priority(&mut self, priority: $crate::Priority) {
                    Over::set_priority(self, priority);
                }
                #[inline]
                fn set_rate(&mut self, bytes_per_second: Option<::std::num::NonZeroU64>) {
                    Over::set_rate(self, bytes_per_second);
                }
                #[inline]
                fn datagrams(&mut self) -> Option<Arc<dyn $crate::Datagrams>> {
                    Over::datagrams(self)
                }
            }
        };
    };
    ($type:ty { $field:tt: $inner:ty }) => {
        $crate::pipe_decorator!(impl[] $type { $field: $inner });
    };
}

/// An [`AsyncRead::poll_read`] that copies from the buffer that `pipe` reads by.
pub fn poll_read_buffered<P: AsyncBufRead + Unpin + ?Sized>(
    mut pipe: Pin<&mut P>,
    cx: &mut Context<'_>,
    out: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let bytes = ready!(pipe.as_mut().poll_fill_buf(cx))?;
    let n = bytes.len().min(out.remaining());
    out.put_slice(&bytes[..n]);
    pipe.consume(n);
    Poll::Ready(Ok(()))
}
