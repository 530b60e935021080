defmodule Blanket.Transaction.Whole do
  @moduledoc false

  # What goes over a table in a transaction. The table is read through its watch, so that the commit knows
  # what parts of it were looked at. Where the transaction has written there itself, its own keys are
  # left out of what the table answers, and what they have now is put in.

  import Blanket.Transaction.State, only: [used: 1]

  alias Blanket.{Native, Table, Transaction}
  alias Blanket.Table.MatchSpec
  alias Blanket.Transaction.State

  ## Searches

  @spec select(Transaction.t(), Table.table(), term) :: [term]
  def select(tx, table, spec) do
    case open(tx, table) do
      {watch, _used, nil} -> MatchSpec.select(watch, spec)
      opened -> matcher(spec).(candidates(tx, opened, spec))
    end
  end

  @spec select_reverse(Transaction.t(), Table.table(), term) :: [term]
  def select_reverse(tx, table, spec) do
    case open(tx, table) do
      {watch, _used, nil} ->
        MatchSpec.select_reverse(watch, spec)

      opened ->
        tx |> candidates(opened, spec) |> Enum.reverse() |> matcher(spec).()
    end
  end

  @spec select_count(Transaction.t(), Table.table(), term) :: non_neg_integer
  def select_count(tx, table, spec) do
    case open(tx, table) do
      {watch, _used, nil} -> MatchSpec.select_count(watch, spec)
      _ -> tx |> select(table, spec) |> Enum.count(&(&1 == true))
    end
  end

  @spec select_delete(Transaction.t(), Table.table(), term) :: non_neg_integer
  def select_delete(tx, table, spec) do
    {_state, used} = State.use_to_write(State.of(tx), table)
    matcher = matcher(spec)

    gone =
      for object <- candidates(tx, open(tx, table), spec),
          matcher.([object]) == [true],
          do: object

    Enum.each(gone, &State.delete_object(State.of(tx), used, &1))
    length(gone)
  end

  # OTP decides what is an error, and what the answers are. It does not compile an empty match specification,
  # by which a table finds nothing.
  defp matcher([]), do: fn _objects -> [] end

  defp matcher(spec) do
    compiled = :ets.match_spec_compile(spec)
    &:ets.match_spec_run(&1, compiled)
  end

  # The objects that the match specification, which OTP has compiled, may answer something for.
  defp candidates(tx, {watch, used, own}, spec) do
    objects = for({pattern, guards, _results} <- spec, do: {pattern, guards, [:"$_"]})
    merge(tx, used, MatchSpec.select(watch, objects), own)
  end

  @spec list(Transaction.t(), Table.table()) :: [Table.object()]
  def list(tx, table) do
    {watch, used, own} = open(tx, table)
    merge(tx, used, Native.tab2list(watch), own)
  end

  # The table's watch, and what the transaction has written there, if anything.
  defp open(tx, table) do
    {state, used} = State.use_table(State.of(tx), table)
    own = State.own(state, used)
    {_state, watch} = State.watch(state, used)
    {watch, used, if(own != %{}, do: own)}
  end

  defp merge(_tx, _used, objects, nil), do: objects

  defp merge(tx, used(type: type, keypos: keypos) = used, objects, own) do
    key = &elem(&1, keypos - 1)
    others = Enum.reject(objects, &own?(own, used, key.(&1)))
    mine = own |> keys() |> Enum.sort() |> Enum.flat_map(&read(tx, used, &1))

    if type == :ordered_set,
      do: :lists.merge(&(key.(&1) <= key.(&2)), others, mine),
      else: others ++ mine
  end

  defp read(tx, used, key), do: State.read(State.of(tx), used, key)

  defp keys(own), do: for({_number, key} <- Map.keys(own), do: key)
  defp own?(own, used, key), do: is_map_key(own, State.place(own, used, key))

  ## Steps

  @spec first(Transaction.t(), Table.table()) :: term
  def first(tx, table), do: begin(tx, table, &Native.first/1, :next)

  @spec last(Transaction.t(), Table.table()) :: term
  def last(tx, table), do: begin(tx, table, &Native.last/1, :prev)

  defp begin(tx, table, first, way) do
    case open(tx, table) do
      {watch, _used, nil} ->
        first.(watch)

      {_watch, used(type: :ordered_set), _own} = opened ->
        nearest(tx, opened, others(opened, first.(elem(opened, 0)), way), way, fn _key -> true end)

      opened ->
        show(tx, opened, first.(elem(opened, 0)))
    end
  end

  @spec next(Transaction.t(), Table.table(), term) :: term
  def next(tx, table, key), do: step(tx, table, key, :next)

  @spec prev(Transaction.t(), Table.table(), term) :: term
  def prev(tx, table, key), do: step(tx, table, key, :prev)

  defp step(tx, table, key, way) do
    case open(tx, table) do
      {watch, _used, nil} ->
        step_in(watch, key, way)

      {watch, used(type: :ordered_set), _own} = opened ->
        beyond? = if way == :next, do: &(&1 > key), else: &(&1 < key)
        nearest(tx, opened, others(opened, step_in(watch, key, way), way), way, beyond?)

      {watch, used, own} = opened ->
        cond do
          Native.member(watch, key) -> show(tx, opened, step_in(watch, key, way))
          own?(own, used, key) and read(tx, used, key) != [] -> inserted(tx, opened, [key])
          true -> :erlang.error(:badarg)
        end
    end
  end

  defp step_in(watch, key, :next), do: Native.next(watch, key)
  defp step_in(watch, key, :prev), do: Native.prev(watch, key)

  # Of an ordered_set: the first key from this one on that is not the transaction's own.
  defp others(_opened, :"$end_of_table", _way), do: :"$end_of_table"

  defp others({watch, used, own} = opened, key, way) do
    if own?(own, used, key),
      do: others(opened, step_in(watch, key, way), way),
      else: key
  end

  # That key, or one of the transaction's own that comes before it.
  defp nearest(tx, {_watch, used(keypos: keypos) = used, own}, other, way, beyond?) do
    mine =
      for key <- keys(own),
          beyond?.(key),
          object <- read(tx, used, key),
          do: elem(object, keypos - 1)

    case {if(other == :"$end_of_table", do: mine, else: [other | mine]), way} do
      {[], _way} -> :"$end_of_table"
      {keys, :next} -> Enum.min(keys)
      {keys, :prev} -> Enum.max(keys)
    end
  end

  # Of the other types: the first key of the table from this one on that has objects, and behind them those
  # that are not in the table.
  defp show(tx, opened, :"$end_of_table"), do: inserted(tx, opened, [])

  defp show(tx, {watch, used, own} = opened, key) do
    if own?(own, used, key) and read(tx, used, key) == [],
      do: show(tx, opened, Native.next(watch, key)),
      else: key
  end

  # The key that the transaction has inserted and that comes after this one, or the first of all.
  defp inserted(tx, {watch, used, own}, last) do
    keys =
      for key <- keys(own),
          not Native.member(watch, key),
          read(tx, used, key) != [],
          do: key

    keys = Enum.sort(keys)

    rest =
      case last do
        [] -> keys
        [last] -> keys |> Enum.drop_while(&(&1 !== last)) |> Enum.drop(1)
      end

    List.first(rest, :"$end_of_table")
  end
end
