defmodule Blanket.Receiver do
  @moduledoc false

  # The owner's side of a hand-over. An heir offers, the owner claims: the native library decides
  # that in one step, so neither can die at a point where the table would be lost or owned twice.

  require Logger

  alias Blanket.{Crier, Heir, Native, Rendezvous, Table}
  alias Blanket.Receiver.Advice

  # How long the heirs that seem to be the right ones may take until all are told.
  @hint_time 200

  @doc """
  Waits for a table, see `Blanket.receive_table/2`.
  """
  @spec receive_table(Rendezvous.wanted(), timeout) ::
          {:ok, Table.table()} | {:error, :transfer_timeout}
  def receive_table(wanted, timeout) do
    deadline = deadline(timeout)

    answer =
      Rendezvous.wait(wanted, fn alias ->
        case tell(wanted) do
          :right_ones -> await(alias, deadline)
          :likely_ones -> await_likely(alias, deadline)
        end
      end)

    # Who does not wait only asks.
    with {:error, :transfer_timeout} when timeout > 0 <- answer do
      Logger.warning(fn -> Advice.text(wanted, timeout) end)
      answer
    end
  end

  @doc """
  Makes the calling process the owner of the table kept as `ref`.
  """
  @spec claim(term, reference) ::
          {:ok, Table.table()} | {:error, :already_owned | :table_not_found}
  def claim(ref, table) do
    with :ok <- Native.claim(table, self()) do
      case Native.info(table) do
        :undefined ->
          {:ok, table}

        info ->
          Heir.claimed(ref, table, info)
          {:ok, if(info.named_table, do: info.name, else: table)}
      end
    end
  rescue
    # It was deleted meanwhile.
    ArgumentError -> {:error, :table_not_found}
  end

  defp tell({:ref, ref}) do
    Heir.tell(ref)
    :right_ones
  end

  defp tell(_wanted) do
    if Heir.tell_those_of([self() | registered_name()]) do
      :likely_ones
    else
      Crier.cry()
      :right_ones
    end
  end

  # The owners that heirs wait for are pids and registered names as a rule. Then the right heir is
  # found at once, however many others wait.
  defp registered_name do
    case Process.info(self(), :registered_name) do
      {:registered_name, []} -> []
      {:registered_name, name} -> [name]
    end
  end

  defp await_likely(alias, deadline) do
    hint_over = min(deadline(@hint_time), deadline)

    with {:error, :transfer_timeout} <- await(alias, hint_over) do
      Crier.cry()
      await(alias, deadline)
    end
  end

  defp await(alias, deadline) do
    receive do
      {^alias, :offer, ref, table} ->
        # An offer that came too early or too late is made again when the owner is gone.
        with {:error, _} <- claim(ref, table), do: await(alias, deadline)
    after
      time_left(deadline) -> {:error, :transfer_timeout}
    end
  end

  # As terms, every integer is less than :infinity.
  defp deadline(:infinity), do: :infinity
  defp deadline(timeout), do: now() + timeout

  defp time_left(:infinity), do: :infinity
  defp time_left(deadline), do: max(deadline - now(), 0)

  defp now, do: System.monotonic_time(:millisecond)
end
