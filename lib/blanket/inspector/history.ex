defmodule Blanket.Inspector.History do
  @moduledoc false

  # How large the tables were in the last minutes, for as long as somebody watches.

  use GenServer

  alias Blanket.Inspector
  alias Blanket.Inspector.TableInfo

  # One sample a second, for five minutes, of the largest tables.
  @interval 1000
  @samples 300
  @tables 500

  # What was looked at within this time is not looked at again. On a node with so many tables that a look
  # takes long, both times are so long that looking takes no more than a part of the time.
  @fresh 200
  @part 5

  @typedoc "Sizes and bytes, oldest first, with the time of each in milliseconds before now."
  @type series :: [{age :: non_neg_integer, size :: non_neg_integer, bytes :: non_neg_integer}]

  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts)

  @doc "All tables, as they are now or were a moment ago."
  @spec tables(pid) :: [TableInfo.t()]
  def tables(history), do: GenServer.call(history, :tables, 30_000)

  @doc "The series of all tables together."
  @spec total(pid) :: series
  def total(history), do: GenServer.call(history, :total, 30_000)

  @doc "The series of some tables; shorter for those that were not there all the time."
  @spec series(pid, [reference]) :: %{reference => series}
  def series(history, tables), do: GenServer.call(history, {:series, tables}, 30_000)

  @impl true
  def init(opts) do
    interval = Keyword.get(opts, :interval, @interval)
    state = %{samples: [], tables: [], current: nil, took: 0, interval: interval}
    {:ok, state, {:continue, :sample}}
  end

  @impl true
  def handle_continue(:sample, state), do: {:noreply, sample(state)}

  @impl true
  def handle_info(:sample, state), do: {:noreply, sample(state)}
  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def handle_call(:tables, _from, state) do
    {looked, _total, _figures} = state.current
    fresh = max(@fresh, @part * state.took)
    state = if now() - looked > fresh, do: look(state), else: state
    {:reply, state.tables, state}
  end

  def handle_call(:total, _from, state) do
    {:reply, points(state, fn total, _figures -> total end), state}
  end

  def handle_call({:series, tables}, _from, state) do
    series = fn table -> points(state, fn _total, figures -> figures[table] end) end
    {:reply, Map.new(tables, &{&1, series.(&1)}), state}
  end

  # The samples, and what was looked at since.
  defp points(state, figures) do
    now = now()

    for {time, total, tables} <- Enum.reverse([state.current | state.samples]),
        {size, bytes} <- List.wrap(figures.(total, tables)),
        do: {now - time, size, bytes}
  end

  defp sample(state) do
    state = look(state)
    Process.send_after(self(), :sample, max(state.interval, @part * state.took))
    %{state | samples: Enum.take([state.current | state.samples], @samples)}
  end

  defp look(state) do
    start = now()
    tables = Inspector.tables()
    total = {sum(tables, :size), sum(tables, :bytes)}
    looked = now()
    %{state | tables: tables, current: {looked, total, figures(tables)}, took: looked - start}
  end

  defp figures(tables) do
    tables
    |> Enum.sort_by(& &1.bytes, :desc)
    |> Enum.take(@tables)
    |> Map.new(&{&1.table, {&1.size, &1.bytes}})
  end

  defp sum(tables, figure), do: tables |> Enum.map(&Map.fetch!(&1, figure)) |> Enum.sum()

  defp now, do: System.monotonic_time(:millisecond)
end
