defmodule Blanket.Coverage do
  @moduledoc """
  Which parts of the native library have run, where it was built to count them: see `bin/fuzz` and
  `test/coverage`. Any other library has none.
  """

  @doc "Begins to count, if there is the library that knows the counters."
  @spec start() :: :ok
  def start do
    if path = System.get_env("BLANKET_COVERAGE"),
      do: :ok = :erlang.load_nif(String.to_charlist(path), 0)

    :ok
  end

  @doc "How many edges have run since the last call that never did, or never about as often."
  @spec new() :: non_neg_integer
  def new, do: 0

  @doc "How many edges have run, of how many."
  @spec reached() :: {non_neg_integer, non_neg_integer}
  def reached, do: {0, 0}
end
