defmodule Chaos.Findings do
  # What is wrong is printed when it is found, and counted.

  def open, do: :ets.new(__MODULE__, [:named_table, :public, :ordered_set])

  def add(what, about) do
    number = System.unique_integer([:monotonic, :positive])
    :ets.insert(__MODULE__, {number, what})

    # A fault that strikes everywhere need not be told of a thousand times.
    if count() <= 30 do
      about = inspect(about, limit: 40, printable_limit: 400, pretty: true, width: 110)
      IO.puts("FINDING: #{what}\n#{about}\n")
    end
  end

  def count, do: :ets.info(__MODULE__, :size)

  @doc "How often each was found."
  def by_kind, do: :ets.tab2list(__MODULE__) |> Enum.frequencies_by(&elem(&1, 1)) |> Enum.sort()
end
