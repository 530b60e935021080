defmodule Blanket.Table.MatchSpec do
  @moduledoc false

  # Searches by match specifications. What is not covered natively (functions of later releases, a few
  # rare ones, terms of great depth, and all that is wrong) is run by OTP's own match specifications, on
  # the objects that the patterns let through natively. Then OTP decides what is an error, too.

  alias Blanket.Native
  alias Blanket.Table
  alias Blanket.Table.Durable

  @typep continuation :: Table.continuation()

  # Objects that are handed to OTP at a time.
  @chunk 64

  ## All at once

  @spec select(Table.table(), term) :: [term]
  def select(table, spec) do
    with :uncovered <- Native.select(table, spec),
         do: select_by_otp(table, spec, &Native.select/3)
  end

  @spec select_reverse(Table.table(), term) :: [term]
  def select_reverse(table, spec) do
    with :uncovered <- Native.select_reverse(table, spec),
         do: select_by_otp(table, spec, &Native.select_reverse/3)
  end

  defp select_by_otp(table, spec, candidates) do
    compiled = :ets.match_spec_compile(spec)
    chunks = chunks(table, spec, candidates)
    Enum.flat_map(chunks, &:ets.match_spec_run(&1, compiled))
  end

  @spec select_count(Table.table(), term) :: non_neg_integer
  def select_count(table, spec) do
    with :uncovered <- Native.select_count(table, spec),
         do: table |> select_by_otp(spec, &Native.select/3) |> Enum.count(&(&1 == true))
  end

  ## In portions

  @spec select(Table.table(), term, term) :: {[term], continuation} | :"$end_of_table"
  def select(table, spec, limit) do
    with :uncovered <- Native.select(table, spec, limit),
         do: begin_by_otp(table, spec, limit, &Native.select/3)
  end

  @spec select_reverse(Table.table(), term, term) :: {[term], continuation} | :"$end_of_table"
  def select_reverse(table, spec, limit) do
    with :uncovered <- Native.select_reverse(table, spec, limit),
         do: begin_by_otp(table, spec, limit, &Native.select_reverse/3)
  end

  defp begin_by_otp(table, spec, limit, candidates) do
    compiled = :ets.match_spec_compile(spec)
    go_on_by_otp(candidates(table, spec, candidates), [], limit, compiled)
  end

  @spec select(term) :: {[term], continuation} | :"$end_of_table"
  def select({:by_otp, continuation, limit, compiled, rest})
      when is_integer(limit) and limit > 0 and length(rest) >= 0 do
    go_on_by_otp({[], continuation}, rest, limit, compiled)
  end

  def select(continuation), do: Native.select(continuation)

  defp go_on_by_otp(:"$end_of_table", results, limit, compiled),
    do: go_on_by_otp({[], :"$end_of_table"}, results, limit, compiled)

  defp go_on_by_otp({objects, continuation}, results, limit, compiled) do
    case results ++ :ets.match_spec_run(objects, compiled) do
      [] when continuation == :"$end_of_table" ->
        :"$end_of_table"

      results when length(results) < limit and continuation != :"$end_of_table" ->
        go_on_by_otp(Native.select(continuation), results, limit, compiled)

      results when length(results) <= limit and continuation == :"$end_of_table" ->
        {results, :"$end_of_table"}

      results ->
        {results, rest} = Enum.split(results, limit)
        {results, {:by_otp, continuation, limit, compiled, rest}}
    end
  end

  @spec repair_continuation(continuation, Table.match_spec()) :: continuation
  def repair_continuation({:by_otp, continuation, limit, compiled, rest}, spec)
      when is_integer(limit) and is_list(rest) do
    compiled = if :ets.is_compiled_ms(compiled), do: compiled, else: :ets.match_spec_compile(spec)

    {:by_otp, repair(continuation, [patterns(spec), everything()]), limit, compiled, rest}
  end

  def repair_continuation(continuation, spec), do: repair(continuation, [spec])

  # With the first of these match specifications that is covered.
  defp repair(:"$end_of_table", _specs), do: :"$end_of_table"

  defp repair({table, key, limit, compiled, rest, way} = continuation, specs)
       when is_integer(limit) and is_list(rest) and is_atom(way) do
    if Native.is_match_spec(compiled),
      do: continuation,
      else: {table, key, limit, compile_for(table, specs), rest, way}
  end

  # For a table that is gone any type does: the continuation is refused.
  defp compile_for(table, specs) do
    {type, keypos} =
      case Native.info(table) do
        :undefined -> {:set, 1}
        %{type: type, keypos: keypos} -> {type, keypos}
      end

    compiled = Stream.map(specs, &Native.compile_match_spec(&1, type, keypos))
    Enum.find(compiled, &(&1 != :uncovered)) || :erlang.error(:badarg)
  end

  ## Changes

  @spec select_delete(Table.table(), term) :: non_neg_integer | Durable.unsynced(non_neg_integer)
  def select_delete(table, spec) do
    with :uncovered <- Native.select_delete(table, spec) do
      change_by_otp(table, spec, fn object, result ->
        if result == true, do: now(Native.remove(table, object)), else: :kept
      end)
    end
  end

  @spec select_replace(Table.table(), term) :: non_neg_integer | Durable.unsynced(non_neg_integer)
  def select_replace(table, spec) do
    with :uncovered <- Native.select_replace(table, spec) do
      :ok = keeps_keys(table, spec)

      change_by_otp(table, spec, fn object, new ->
        if now(Native.exchange(table, object, new)), do: 1, else: 0
      end)
    end
  end

  # OTP sees it before it looks at an object.
  defp keeps_keys(table, spec) do
    %{type: type, keypos: keypos} = Native.info(table)
    empty = :ets.new(:empty, [type, keypos: keypos])

    try do
      :ets.select_replace(empty, spec)
      :ok
    after
      :ets.delete(empty)
    end
  end

  defp change_by_otp(table, spec, change) do
    compiled = :ets.match_spec_compile(spec)
    %{type: type, keypos: keypos} = Native.info(table)
    chunks = chunks(table, spec, &Native.select/3)

    # An object that another process has replaced meanwhile is looked at again.
    again = fn object ->
      if type in [:set, :ordered_set],
        do: Native.lookup(table, elem(object, keypos - 1)),
        else: []
    end

    changed =
      for objects <- chunks, object <- objects, reduce: 0 do
        changed -> changed + change_one(object, compiled, change, again)
      end

    case Native.info(table) do
      %{durable: {_path, :always, _state}} -> {:"$blanket_unsynced", changed}
      _ -> changed
    end
  end

  # All of the changes are waited for together.
  defp now({:"$blanket_unsynced", answer}), do: answer
  defp now(answer), do: answer

  defp change_one(object, compiled, change, again) do
    with [result] <- :ets.match_spec_run([object], compiled),
         0 <- change.(object, result),
         [object] <- again.(object) do
      change_one(object, compiled, change, again)
    else
      changed when is_integer(changed) -> changed
      _ -> 0
    end
  end

  ## Candidates

  defp chunks(table, spec, candidates) do
    Stream.unfold(
      fn -> candidates(table, spec, candidates) end,
      fn next ->
        case next.() do
          :"$end_of_table" -> nil
          {objects, continuation} -> {objects, fn -> Native.select(continuation) end}
        end
      end
    )
  end

  defp candidates(table, spec, select) do
    with :uncovered <- select.(table, patterns(spec), @chunk),
         do: select.(table, everything(), @chunk)
  end

  defp patterns(spec), do: for({pattern, _guards, _body} <- spec, do: {pattern, [], [:"$_"]})
  defp everything, do: [{:_, [], [:"$_"]}]
end
