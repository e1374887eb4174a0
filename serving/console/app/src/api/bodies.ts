/** The APIs' bodies, by the names that their reference uses. */

import type { components as Automation } from "./automation.gen";
import type { components as Explore } from "./explore.gen";
import type { components as Incidents } from "./incidents.gen";

type Incident<Name extends keyof Incidents["schemas"]> = Incidents["schemas"][Name];
type Data<Name extends keyof Explore["schemas"]> = Explore["schemas"][Name];
type Run<Name extends keyof Automation["schemas"]> = Automation["schemas"][Name];

export type IncidentLine = Incident<"IncidentLine">;
export type IncidentPage = Incident<"IncidentPage">;
export type IncidentView = Incident<"IncidentView">;
export type AlertPage = Incident<"AlertPage">;
export type AlertGroup = Incident<"AlertGroup">;
export type RootCauseReport = Incident<"RootCauseReport">;
export type RootCause = Incident<"RootCause">;
export type ReportList = Incident<"ReportList">;
export type Timeline = Incident<"Timeline">;
export type TimelineEntry = Incident<"TimelineEntry">;
export type VerdictBody = Incident<"VerdictBody">;
export type VerdictAnswer = Incident<"VerdictAnswer">;
export type HeldBackList = Incident<"HeldBackList">;
export type HeldBackView = Incident<"HeldBackView">;
export type Silence = Incident<"Silence">;
export type SilenceList = Incident<"SilenceList">;
export type SilenceBody = Incident<"SilenceBody">;
export type Matcher = Incident<"Matcher">;
export type MaintenanceView = Incident<"MaintenanceView">;
export type MaintenanceList = Incident<"MaintenanceList">;
export type MaintenanceBody = Incident<"MaintenanceBody">;
export type GraphView = Incident<"GraphView">;
export type CallView = Incident<"CallView">;
export type ChangeEvent = Incident<"ChangeEvent">;
export type ChangeList = Incident<"ChangeList">;
export type AuditPage = Incident<"AuditPage">;
export type AuditView = Incident<"AuditView">;
export type AuditCheck = Incident<"AuditCheck">;
export type Readiness = Incident<"ApiReadiness">;
export type Problem = Incident<"Problem">;
export type PlanLine = Run<"PlanLine">;
export type PlanPage = Run<"PlanPage">;
export type PlanView = Run<"PlanView">;
export type StepView = Run<"StepView">;
export type SwitchView = Run<"SwitchView">;
export type StandingList = Run<"StandingList">;
export type StandingView = Run<"StandingView">;
export type QuestionView = Run<"QuestionView">;
export type SeriesLine = Data<"SeriesLine">;
export type SeriesPage = Data<"SeriesPage">;
export type SeriesPoints = Data<"SeriesPoints">;
export type DetectionMark = Data<"DetectionMark">;

/** Who is logged in, as the console's own process says. */
export interface Session {
  subject: string;
  role: "viewer" | "operator" | "admin";
  /** tenants that may be looked at; null = every one */
  tenants: readonly string[] | null;
  /** null = it does not end by itself */
  expires_at: string | null;
  csrf: string;
}
