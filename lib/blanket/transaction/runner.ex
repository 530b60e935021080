defmodule Blanket.Transaction.Runner do
  @moduledoc false

  # Runs the function of a transaction until a commit succeeds. One that has lost several times waits for
  # its turn, in which nobody else begins to change its tables.

  import Blanket.Transaction.State, only: [state: 1]

  alias Blanket.Native
  alias Blanket.Table.{Durable, Error}
  alias Blanket.Transaction
  alias Blanket.Transaction.State

  # Attempts before a turn.
  @patience 5

  # Milliseconds between two turns at most.
  @longest_pause 100

  # A turn takes a second at most: one that is longer is passed on by those who wait.
  @longest_turn 1_000

  @spec run((Transaction.t() -> result), :infinity | non_neg_integer) ::
          {:ok, result} | {:error, term}
        when result: term
  def run(fun, retries) do
    case State.current() do
      nil -> attempt(%Transaction{id: :erlang.unique_integer()}, fun, retries, 1)
      state(id: id) = state -> join(%Transaction{id: id}, fun, state)
    end
  end

  defp attempt(tx, fun, retries, number) do
    case try_once(tx, fun) do
      {:lost, state} -> retry(tx, fun, retries, number, state)
      outcome -> answer(outcome)
    end
  end

  defp retry(_tx, _fun, retries, number, _state) when number > retries, do: {:error, :conflict}

  defp retry(tx, fun, retries, number, _state) when number < @patience do
    :erlang.yield()
    attempt(tx, fun, retries, number + 1)
  end

  # Who has lost in a turn has lost to a call that had begun before, to itself, or to time.
  defp retry(tx, fun, retries, number, state(references: references)) do
    if number > @patience, do: Process.sleep(pause(number - @patience))

    case in_turn(references, fn -> try_once(tx, fun) end) do
      {:lost, state} -> retry(tx, fun, retries, number + 1, state)
      outcome -> answer(outcome)
    end
  end

  defp try_once(%Transaction{id: id} = tx, fun) do
    State.begin(id)
    outcome = call(tx, fun)
    state = State.finish()
    done? = outcome != :conflict and commit?(state, match?({:ok, _}, outcome))
    # Or else what a deleted table had would be kept until this process collects its garbage.
    State.end_watches(state)
    if done?, do: outcome, else: {:lost, state}
  end

  defp call(%Transaction{id: id} = tx, fun) do
    {:ok, fun.(tx)}
  catch
    :throw, {:"$blanket_abort", ^id, reason} -> {:error, reason}
    :throw, {:"$blanket_conflict", ^id} -> :conflict
    kind, reason -> {:raise, kind, reason, __STACKTRACE__}
  end

  defp answer({:raise, kind, reason, stacktrace}), do: :erlang.raise(kind, reason, stacktrace)
  defp answer(answer), do: answer

  # An abort or an exception, too, is only for what was there at one instant.
  defp commit?(state(doomed?: true), _done?), do: false

  defp commit?(state(read_set: read_set, write_set: write_set, watches: watches) = state, done?) do
    write_set = if done?, do: write_set, else: %{}

    if write_set == %{} and map_size(read_set) <= 1 and watches == %{} do
      true
    else
      state(references: references) = state
      tables = references |> :lists.reverse() |> List.to_tuple()

      answer =
        with :large <- Native.commit(tables, read_set, write_set, watches),
             do: commit_large(tables, read_set, write_set, watches)

      with {:"$blanket_unsynced", true} <- answer, do: Enum.all?(references, &settle/1)
    end
  rescue
    error in ArgumentError ->
      state(references: references) = state
      Enum.each(references, &explain_refusal/1)
      reraise error, __STACKTRACE__
  end

  # A table refuses changes as long as its file cannot be written.
  defp explain_refusal(table) do
    with %{durable: {path, sync, {:error, reason}}} when sync != :manual <- Native.info(table),
         do: raise(ArgumentError, "#{path} cannot be written: #{Error.file_reason(reason)}")
  end

  # Of some tables all changes have to be on disk before anybody goes on.
  defp settle(table) do
    case Durable.flush(table) do
      :ok ->
        true

      {:error, reason} ->
        %{durable: {path, _sync, _state}} = Native.info(table)
        message = "what the transaction has changed is not in #{path}: "
        raise ArgumentError, message <> Error.file_reason(reason)
    end
  end

  defp commit_large(tables, read_set, write_set, watches) do
    with :held_back <- Native.commit_large(tables, read_set, write_set, watches) do
      Process.sleep(1)
      commit_large(tables, read_set, write_set, watches)
    end
  end

  # What the inner one wrote is the outer one's, unless it fails.
  defp join(%Transaction{id: id} = tx, fun, state) do
    {:ok, fun.(tx)}
  catch
    :throw, {:"$blanket_abort", ^id, reason} ->
      State.undo_to(state)
      {:error, reason}

    kind, reason ->
      State.undo_to(state)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end

  # Milliseconds.
  defp pause(lost), do: min(lost * lost, @longest_pause)

  defp in_turn(tables, fun) do
    {turn, has_come?} = Native.join_turn(tables)

    try do
      unless has_come?, do: await(turn)
      fun.()
    after
      Native.leave_turn(turn)
    end
  end

  defp await(turn) do
    receive do
      {:"$blanket_turn", ^turn} -> :ok
    after
      @longest_turn ->
        Native.pass_turn()
        await(turn)
    end
  end
end
